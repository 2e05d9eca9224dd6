"""Command line: list what there is, run any part by hand.

python -m netra_sim list                  scenarios, their parameters, checks and controls
python -m netra_sim run [--only NAME]     what `nox -s scenarios` runs
python -m netra_sim judge                 judge stored runs again, without running anything
python -m netra_sim serve                 a lab with the platform in front of it, until ctrl-C
python -m netra_sim faults serve          the fault proxy on its own, with Toxiproxy's control API and options
python -m netra_sim keep PROGRAM ...      JupyterLab, say, with a lab up for the next notebook
python -m netra_sim explore [--flow NAME] what `nox -s explore` runs
python -m netra_sim replay PATH           the plan of faults in a run's folder, or one that exploration stored, again
python -m netra_sim report                render the report again from stored runs
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from netra_sim.faults.serve import options
from netra_sim.kernel.errors import BadValue, NetraError

USAGE_ERROR = 2


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0 pass, 1 verdicts that are not pass (judge: that would change), 2 wrong use or aborted."""
    given = _parser().parse_args(words)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except NetraError as error:
        print(f"netra_sim: {error}", file=sys.stderr)
        return USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m netra_sim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text)
        command.set_defaults(command=run)
        return command

    add("list", _list, "scenarios, their parameters, checks and controls")
    run = add("run", _run, "run the notebooks of the scenarios and write the report")
    run.add_argument("--only", action="append", default=[], metavar="NAME", help="scenarios whose name begins so")
    run.add_argument("--full", action="store_true", help="all controls, and every parameter set of each scenario")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="values", help="a parameter")
    run.add_argument("--seed", help="seed of every random stream")
    run.add_argument("--scale", help="time scale, 1 is real time")
    run.add_argument("--jobs", type=int, default=2, help="controls at once (2); measured trials run alone")
    judge = add("judge", _judge, "judge stored runs again: which verdicts do the checks of today change?")
    judge.add_argument("--only", action="append", default=[], metavar="NAME", help="scenarios whose name begins so")
    judge.add_argument("--latest", action="store_true", help="only the runs that the report shows")
    judge.add_argument("--run", nargs="+", type=Path, metavar="FOLDER", dest="named", help="these runs, and no other")
    judge.add_argument("--write", action="store_true", help="store the new verdicts, and render the report from them")
    add("serve", _serve, "a lab with the platform in front of it, until ctrl-C")
    faults = add("faults", _faults, "the fault proxy on its own, with Toxiproxy's control API and options")
    faults.add_argument("serve", nargs="?", choices=["serve"], help="until ctrl-C; there is nothing else it does")
    options(faults)
    keep = add("keep", _keep, "run a program, such as JupyterLab, and have a lab up for the next notebook it opens")
    keep.add_argument("program", nargs=argparse.REMAINDER, metavar="PROGRAM ...")
    report = add("report", _report, "render the report again from stored runs")
    report.add_argument(
        "--single-file", nargs="?", type=Path, const=Path("reports/report.html"), metavar="PATH",
        help="also everything as one file that can be mailed (%(const)s)",
    )  # fmt: skip
    store = add("store", _store, "run notebooks as committed and store the outputs that nbval compares")
    store.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    explore = add(
        "explore", _explore, "fail each exchange of each flow in each way; then random plans of several faults"
    )
    _explore_options(explore)
    replay = add("replay", _replay, "run a stored plan of faults again; exit code 1 when it violates or does not pass")
    replay.add_argument("plan", type=Path, metavar="PATH", help="a run's folder, a plan in it, or one of exploration's")
    replay.add_argument("--times", type=int, default=1)
    add("host", _host, "the lab host; a client starts it")
    return parser


def _explore_options(explore: argparse.ArgumentParser) -> None:
    explore.add_argument("--flow", action="append", default=[], metavar="NAME", help="login, chat, reconnect, refresh")
    explore.add_argument("--seconds", type=float, default=float("inf"), help="for the cells of all flows; else all run")
    explore.add_argument("--search", type=float, default=30.0, metavar="SECONDS", help="of random plans, for each flow")
    explore.add_argument("--planted", default="", metavar="DEFECT", help="a known defect in the workers")
    explore.add_argument("--lanes", type=int, default=4, help="runs at once")
    explore.add_argument("--seed", type=int, default=7)
    explore.add_argument("--fresh", action="store_true", help="forget what reports/explore.json has of this commit")


def _list(_given: argparse.Namespace) -> int:
    from netra_sim.scenarios import registry

    for name, scenario in registry.scenarios().items():
        usual = scenario.parameters()
        print(f"{name}\n  {scenario.question}")
        for field in type(usual).model_fields:
            print(f"    --set {field}={getattr(usual, field)}  ({scenario.parameters.allowed(field)})")
        for check in scenario.judges(usual):
            print(f"  check {check.name}: proves {', '.join(check.proves) or 'no line by itself'}; "
                  f"controls: {', '.join(check.controls) or 'none'}")  # fmt: skip
    return 0


def _run(given: argparse.Namespace) -> int:
    from netra_sim.reports.painter import Painter
    from netra_sim.scenarios.door import project
    from netra_sim.scenarios.sweep import plan, sweep

    root = project()
    jobs = plan(root, root / "runs", given.only, _values(given), full=given.full)
    with Painter(root / "runs", root / "reports") as painter:
        code = sweep(jobs, max(1, given.jobs), painter.draw)
    _render(changed=True)
    return code


def _judge(given: argparse.Namespace) -> int:
    from netra_sim.scenarios.door import project
    from netra_sim.scenarios.rejudge import chosen, rejudge

    if given.named and (given.only or given.latest):
        raise BadValue(field="--run", value="with --only or --latest", allowed="folders, and stands for itself")
    named = given.named or chosen(project() / "runs", given.only, shown=given.latest)
    code = rejudge(named, write=given.write)
    if given.write:
        _render(changed=True)
    return code


def _values(given: argparse.Namespace) -> dict[str, Any]:
    """The parameters of the command line, as text; the scenario turns them into its own types."""
    values: dict[str, Any] = {}
    for text in given.values:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadValue(field="--set", value=text, allowed="NAME=VALUE, such as users=100")
        values[name] = value
    if given.seed is not None:
        values["seed"] = given.seed
    if given.scale is not None:
        values["time_scale"] = given.scale
    return values


def _report(given: argparse.Namespace) -> int:
    _render(single=given.single_file)
    return 0


def _render(*, changed: bool = False, single: Path | None = None) -> None:
    """Write reports/ from the stored runs, and all of it as one file when that is asked for."""
    from netra_sim.reports.site import build, single_file
    from netra_sim.scenarios import registry
    from netra_sim.scenarios.door import project

    root = project()
    runs, reports, catalogue = root / "runs", root / "reports", registry.requirements()
    if single is None:
        index = build(runs, reports, catalogue, changed=changed)
        print(f"report: {index.relative_to(root)}")
    else:
        print(f"report: {single_file(runs, reports, catalogue, root / single)}")


def _serve(_given: argparse.Namespace) -> int:
    from netra_sim.scenarios.serve import serve

    return serve()


def _keep(given: argparse.Namespace) -> int:
    from netra_sim.lab.keeper import keep
    from netra_sim.lab.settings import SEED, TIME_SCALE

    name = "".join(given.program[:1])
    if not shutil.which(name):
        raise BadValue(field="PROGRAM", value=name, allowed="a program on PATH and its arguments")
    keep(given.program, {"seed": SEED, "time_scale": TIME_SCALE})


def _faults(given: argparse.Namespace) -> int:
    from netra_sim.faults.serve import serve

    def ready(host: str, port: int) -> None:
        print(f"control API: http://{host}:{port} (Toxiproxy's); seed {given.seed}; ctrl-C ends it")

    return serve(given, ready)


def _store(given: argparse.Namespace) -> int:
    from netra_sim.scenarios.execute import store

    for notebook in given.notebooks:
        store(notebook)
    return 0


def _explore(given: argparse.Namespace) -> int:
    from netra_sim.scenarios.door import project
    from netra_sim.scenarios.explore.command import Wanted, explore

    flows = {"flows": tuple(given.flow)} if given.flow else {}
    wanted = Wanted(
        seconds=given.seconds, search=given.search, planted=given.planted, fresh=given.fresh, lanes=given.lanes,
        seed=given.seed, **flows,
    )  # fmt: skip
    code = explore(wanted, project())
    _render(changed=True)
    return code


def _replay(given: argparse.Namespace) -> int:
    from netra_sim.scenarios import replay
    from netra_sim.scenarios.explore import command

    again = replay.replay if replay.of_run(given.plan) else command.replay
    return again(given.plan, given.times)


def _host(_given: argparse.Namespace) -> int:
    from netra_sim.scenarios.host import main as host

    return host()


if __name__ == "__main__":
    sys.exit(main())
