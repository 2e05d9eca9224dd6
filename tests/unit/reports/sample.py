"""A made-up run with the shape of a real one: histories with and without the protection, results, a notebook."""

import json
from pathlib import Path

from tests.unit.reports.sample_history import FAULTS, LOAD, T0, history


def check(name, outcome="pass", proves=(), controls=(), observed="", expected="", evidence=()):
    """A verdict as result.json holds it."""
    return {
        "check": name, "outcome": outcome, "expected": expected or f"{name} holds", "observed": observed or "as told",
        "proves": list(proves), "evidence": list(evidence), "controls": list(controls),
    }  # fmt: skip


OFFENCES = (
    {
        "t": T0 + 9_412_000_000,
        "id": 812,
        "actor": "user-11",
        "f": "send",
        "message_id": "user-11-m3",
        "run_id": "user-11-r3",
    },
    {
        "t": T0 + 11_900_000_000,
        "id": 1034,
        "actor": "user-29",
        "f": "send",
        "message_id": "user-29-m4",
        "run_id": "user-29-r4",
    },
)
EXPECTED = {
    "acknowledged-writes": "every message that was acknowledged is in Postgres after the restart",
    "held-past-deadline": "no request is held longer than its deadline (0.5 s; a chat 3 s)",
    "delivery": "every event is delivered exactly once, gapless and in order",
    "recovery": "the first success comes within 6 s of the heal",
    "clear-refusals": "every refused send carries a stable code and when to try again",
}
PROVES = {
    "acknowledged-writes": ["IC-C1.1"], "held-past-deadline": ["IC-C1.2"], "delivery": ["T20-03.4"],
    "recovery": ["IC-C1.2"], "clear-refusals": ["IC-C6.3"],
}  # fmt: skip
OBSERVED = {
    "acknowledged-writes": "287 of 287 found",
    "held-past-deadline": "longest 0.47 s (send), 2.31 s (chat)",
    "delivery": "7,311 events, none lost, none twice",
    "recovery": "0.84 s",
    "clear-refusals": "31 of 31",
}
SUFFERED = {
    "acknowledged-writes": "14 of 287 are missing: the first is user-11-m3",
    "held-past-deadline": "22 held too long, the longest 24.6 s (send)",
    "delivery": "412 events came twice, the first is seq 3 of user-2",
    "recovery": "11.9 s",
    "clear-refusals": "9 of 31 without a code",
}
CONVICTS = {
    "acknowledged-writes": ["ack-before-commit"], "held-past-deadline": ["no-deadline"],
    "delivery": ["event-sent-twice"], "recovery": ["no-deadline"], "clear-refusals": [],
}  # fmt: skip


def checks(broken=()):
    """The scenario's five checks, those in `broken` failing."""
    found = []
    for name, expected in EXPECTED.items():
        bad = name in broken
        observed = SUFFERED[name] if bad else OBSERVED[name]
        evidence = OFFENCES if bad else ()
        found.append(check(name, "fail" if bad else "pass", PROVES[name], CONVICTS[name], observed, expected, evidence))
    return found


def control(name, why, failed, without=None, defect=None, convicts=True):
    """A control run as result.json holds it."""
    return {
        "name": name, "without": without, "defect": defect, "setting": None, "why": why, "expected": failed,
        "failed": failed if convicts else [], "verdict": "fail" if convicts else "pass", "convicts": convicts,
        "history": f"control-{name}.jsonl", "checks": checks(failed if convicts else ()), "faults": faults(),
    }  # fmt: skip


def faults():
    """The faults as result.json holds them."""
    return [
        {"kind": kind, "target": target, "planned": LOAD + at, "fired": LOAD + at, "healed": LOAD + until, "hits": hits}
        for kind, target, at, until, hits in FAULTS
    ]


def result(**changes):
    """A passing result of the contract; `changes` replace its keys."""
    whys = (
        ("no-deadline", "Without deadlines a stalled store holds every request until the client gives up.",
         ["held-past-deadline", "recovery"], {"without": ["deadline"]}),
        ("ack-before-commit", "A message acknowledged before its commit is lost when the server dies.",
         ["acknowledged-writes"], {"defect": "netra_sim.defects:ack_before_commit"}),
        ("event-sent-twice", "An event delivered twice shows the user the same step again.",
         ["delivery"], {"defect": "netra_sim.defects:event_sent_twice"}),
    )  # fmt: skip
    found = {
        "schema": 1,
        "scenario": "chaos/database-lost",
        "title": "The database dies while users chat",
        "question": "Does a user lose anything that was acknowledged when Postgres is killed under load?",
        "hypothesis": "No: writes are committed before they are acknowledged, and refused while the store is away.",
        "consequence": "Users keep every message they were told was stored; for 4 s new ones are refused clearly.",
        "group": "data",
        "verdict": "pass",
        "parameters": {"users": 40, "seconds": 30, "kill_at": 8.0},
        "seed": 7,
        "time_scale": 0.1,
        "started": "2026-11-21T08:15:00+00:00",
        "seconds": 41.7,
        "checks": checks(),
        "faults": faults(),
        "controls": [control(name, why, failed, **how) for name, why, failed, how in whys],
        "history": "history.jsonl",
        "servers": {
            "postgres": "PostgreSQL 18.6",
            "redis": "Valkey 9.1.2",
            "llm": "netra-llm 0.1.0",
            "proxy": "netra-proxy 0.1.0",
        },
        "versions": {"python": "3.11.7", "netra_sim": "0.1.0"},
        "commit": "4f1c2ab9d0e3",
        "command": "nox -s scenarios -- --only chaos/database-lost --seed 7",
        "runbook": [
            "Alert `store_unavailable` fires: confirm with GET /health that Postgres alone is down.",
            "Restart Postgres; do not restart the workers, they reconnect by themselves.",
            "Watch goodput return to its level within 6 s of the restart.",
            "Read back one acknowledged message of the minute before the crash.",
        ],
        "not_proven": [
            "A loss of the disk itself: Postgres restarts on its own data directory.",
            "More than 40 users at once on this machine.",
        ],
        "logs": {
            "postgres": "08:15:10 LOG:  database system was interrupted\n08:15:12 LOG:  redo done at 0/1A2B3C8",
            "worker-1": '{"level":"warning","event":"store_unavailable","attempt":2,"request_id":"6f0a"}',
        },
        "error": None,
    }
    return {**found, **changes}


def failing():
    """A scenario whose protection does not hold, with a control that does not convict."""
    return result(
        scenario="chaos/cache-stampede",
        title="Redis fails over under a stampede",
        group="data",
        verdict="fail",
        consequence="14 users lost a message that they had been told was stored.",
        checks=[{**c, "proves": ["IC-C2.3"]} for c in checks(("acknowledged-writes",))],
        controls=[control("no-single-flight", "Every miss rebuilds.", ["recovery"], ["single_flight"], convicts=False)],
        command="nox -s scenarios -- --only chaos/cache-stampede --seed 7",
    )  # fmt: skip


def unknown():
    """A scenario whose fault never fired."""
    found = checks()
    found = [{**c, "proves": ["IC-C2.1"], "controls": []} for c in found]
    found[1] = {**found[1], "outcome": "unknown", "observed": "the fault latency on redis never fired"}
    never = {"kind": "latency", "target": "redis", "planned": LOAD + 17.0, "fired": None, "healed": None, "hits": 0}
    return result(
        scenario="platform/slow-cache", title="Redis is slow", verdict="unknown", group="runtime",
        consequence="Nothing can be said: the fault never struck.",
        checks=found, controls=[], faults=[faults()[0], never],
        command="nox -s scenarios -- --only platform/slow-cache --seed 7",
    )  # fmt: skip


def write_run(runs: Path, data: dict, time: str = "20261121T081500Z", notebook: bool = True, users: int = 40) -> Path:
    """A run's folder as the runner leaves it."""
    folder = runs / data["scenario"] / f"{time}-seed{data['seed']}"
    folder.mkdir(parents=True)
    history(users=users).save(folder / "history.jsonl")
    for each in data["controls"]:
        history(protected=each["without"] is None, users=users).save(folder / each["history"])
    (folder / "result.json").write_text(json.dumps(data))
    if notebook:
        write_notebook(folder)
    return folder


def write_notebook(folder: Path) -> None:
    """An executed notebook with the outputs that the package's displays give."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

    from netra_sim.reports.notebook import show
    from netra_sim.reports.result import Result

    view = show(Result.load(folder / "result.json"))

    def cell(source, shown):
        data, metadata = shown._repr_mimebundle_()
        return new_code_cell(
            source, outputs=[new_output("execute_result", data=data, metadata=metadata, execution_count=1)]
        )

    said = new_output("stream", name="stdout", text="load 30 s, heal, audit\n")
    title = f"# {view.result.data['title']}\n\n**Question.** {view.result.data['question']}\n\n"
    cells = [
        new_markdown_cell(title + f"**Hypothesis.** {view.result.data['hypothesis']}"),
        new_code_cell("users, seconds, seed = 40, 30, 7"),
        new_code_cell("result = await run('chaos/database-lost')", outputs=[said]),
        new_markdown_cell("## Verdict"),
        cell("show(result).verdicts()", view.verdicts()),
        new_markdown_cell("## What users saw\n\nWhile Postgres was away, sends were refused within half a second."),
        cell("show(result).latency()", view.latency()),
        new_markdown_cell("The offered load was applied throughout."),
        cell("show(result).throughput()", view.throughput()),
        new_markdown_cell("## Without the protection\n\nThe same faults, same seed."),
        cell("show(result).controls()", view.controls()),
        new_markdown_cell("## What an operator does"),
        cell("show(result).runbook()", view.runbook()),
        cell("show(result).provenance()", view.provenance()),
    ]  # fmt: skip
    nbformat.write(new_notebook(cells=cells), folder / "notebook.ipynb")
