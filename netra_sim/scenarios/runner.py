"""A scenario in a lab: the protected trial, then each control, then one result."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from netra_sim.externals.llm import script
from netra_sim.faults.plan import SCRIPT, Step
from netra_sim.faults.process import LIMITS, chosen
from netra_sim.faults.trigger import Trigger
from netra_sim.kernel.errors import BadValue, NotOurs, UnknownName
from netra_sim.kernel.history import Fault, History
from netra_sim.lab import limits
from netra_sim.lab.lab import Lab
from netra_sim.lab.service import Service
from netra_sim.reports.result import Result
from netra_sim.scenarios import provenance
from netra_sim.scenarios.judging import judged
from netra_sim.scenarios.platform import PROTOCOLS, edge_names, service_edges, services, worker_names
from netra_sim.scenarios.scenario import Control, Parameters, Scenario
from netra_sim.scenarios.stopwatch import Stopwatch
from netra_sim.scenarios.ticks import Watch
from netra_sim.scenarios.trial import Trial
from netra_sim.scenarios.turns import ENDED, PIPE, PROTECTED, WAITING, Turns

SCHEMA = 1
Tell = Callable[[str, str], None]
T = TypeVar("T")


async def run(
    lab: Lab, scenario: Scenario, parameters: Parameters, folder: Path, tell: Tell, watch: Watch | None = None
) -> Path:
    """The path of the result, which is written atomically and last, beside the histories."""
    refuse_what_is_not_ours(lab, scenario, parameters)
    stopwatch = Stopwatch()
    history, controls = await _trials(lab, scenario, parameters, folder, tell, watch, stopwatch)
    judgement = judged(scenario, parameters, history, controls)
    convicted = zip(controls, judgement.controls, strict=True)
    result = {
        "schema": SCHEMA,
        "scenario": scenario.name,
        "title": scenario.title,
        "question": scenario.question,
        "hypothesis": scenario.hypothesis,
        "consequence": scenario.consequence,
        "group": scenario.group,
        "variant": scenario.variant(parameters),
        "sets": scenario.sets,
        "verdict": judgement.verdict,
        "parameters": parameters.model_dump(mode="json"),
        "seed": parameters.seed,
        "time_scale": parameters.time_scale,
        "started": stopwatch.started.isoformat(timespec="seconds"),
        "seconds": round(stopwatch.seconds, 3),
        "checks": judgement.checks,
        "faults": faults(history),
        "controls": [_control(control, seen, conviction) for (control, seen), conviction in convicted],
        "controls_left": judgement.left,
        "history": "history.jsonl",
        "servers": lab.servers(),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "command": provenance.command(scenario, parameters),
        "runbook": list(scenario.runbook),
        "not_proven": list(scenario.not_proven),
        "logs": {} if scenario.cold else lab.logs(),
        "error": None,
    }
    return Result(result, folder).save()


async def _trials(
    lab: Lab,
    scenario: Scenario,
    parameters: Parameters,
    folder: Path,
    tell: Tell,
    watch: Watch | None,
    stopwatch: Stopwatch,
) -> tuple[History, list[tuple[Control, History]]]:
    """The history of the protected trial, which has the machine for itself, and that of each control."""
    turns = Turns(os.environ.get(PIPE, ""))
    stem = f"{scenario.name.replace('/', '_').replace('-', '_')[:32]}_{secrets.token_hex(4)}"

    async def trial(at: Lab, control: Control | None, number: int) -> History:
        label, given = (control.name, scenario.given(parameters, control)) if control else (PROTECTED, parameters)
        name = f"{stem}_{number}"
        at = Lab(seed=lab.seed, time_scale=lab.time_scale) if scenario.cold else at
        seen = None if control else watch
        tell(label, WAITING)
        await turns.take()
        try:
            with stopwatch.running():
                say = partial(tell, label)
                return await Trial(at, scenario, given, control, name, folder, say, seen).run()
        finally:
            tell(label, ENDED)

    async with _labs(lab, scenario, spare=not turns.given) as labs:

        async def controlled(number: int, control: Control) -> tuple[Control, History]:
            at = await labs.get()
            try:
                return control, await trial(at, control, number)
            finally:
                labs.put_nowait(at)

        history = await trial(lab, None, 0)
        numbered = enumerate(scenario.runs(parameters), start=1)
        return history, await _all(controlled(n, control) for n, control in numbered)


@contextlib.asynccontextmanager
async def _labs(lab: Lab, scenario: Scenario, *, spare: bool) -> AsyncIterator[asyncio.Queue[Lab]]:
    """Where controls run, side by side: their limits are not judged, so they need not be alone.

    A scenario that strikes the servers themselves needs them for itself: with `spare`, a second lab takes every other
    control; in a sweep, other scenarios' controls use that time.
    """
    labs: asyncio.Queue[Lab] = asyncio.Queue()
    async with contextlib.AsyncExitStack() as stack:
        places = [lab] * scenario.side_by_side
        if scenario.exclusive and spare:
            places.append(await stack.enter_async_context(Lab(seed=lab.seed, time_scale=lab.time_scale)))
        for place in places:
            labs.put_nowait(place)
        yield labs


async def _all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Side by side to their end; the first error ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


def refuse_what_is_not_ours(lab: Lab, scenario: Scenario, parameters: Parameters) -> None:
    """NotOurs when a plan strikes a process, or scripts a model, given by URL; UnknownName for what is not there.

    BadValue for a wrong script, or a fault that this system does not have.
    """
    edges, processes = [*service_edges(lab), *edge_names(scenario.entrances)], services(lab)
    for step in (*scenario.plan(parameters), *(s for control in scenario.runs(parameters) for s in control.steps)):
        if step.on_process:
            chosen(step.target, [*processes, *worker_names()], parameters.seed, 0)
            _refuse_process(step, processes.get(step.target))
        elif step.kind == SCRIPT:
            script.parse(list(step.script))
            if not lab.llm.owned:
                raise NotOurs(action=SCRIPT, service="llm", setting="NETRA_LLM")
        elif step.target not in edges:
            raise UnknownName(what="edge", name=step.target, known=", ".join(edges))
        elif step.protocols and (speaks := PROTOCOLS.get(step.target, "http")) not in step.protocols:
            raise BadValue(field="target", value=step.target, allowed=f"for {step.kind}, an edge that speaks "
                           f"{' or '.join(step.protocols)}; this one speaks {speaks}")  # fmt: skip


def _refuse_process(step: Step, service: Service | None) -> None:
    if service is not None and not service.owned:
        raise NotOurs(action=step.kind, service=step.target, setting=f"NETRA_{step.target.upper()}")
    if step.kind in LIMITS and not limits.possible():
        raise BadValue(field="kind", value=step.kind, allowed="on this system, another: only Linux limits what runs")


def faults(history: History) -> list[dict[str, Any]]:
    """Each fault: kind, target, when it was to strike, struck and ended (seconds since start), and what it hit."""
    loaded = next((r.t for r in history.seen("load_started")), history.start)
    rows = []
    for fault in history.faults():
        due = _due(history, fault, loaded)
        planned = None if due is None else round(history.seconds(due) + float(fault.value.get("at", 0.0)), 3)
        struck = {"fired": fault.fired, "healed": fault.healed}
        times = {k: None if t is None else round(history.seconds(t), 3) for k, t in struck.items()}
        rows.append({"kind": fault.kind, "target": fault.target, "planned": planned, **times, "hits": fault.hits})
    return rows


def _due(history: History, fault: Fault, loaded: int) -> int | None:
    """From when a fault's time counts: the start of the load, or the record that it waits for, if that came."""
    if (on := fault.value.get("on")) is None:
        return loaded
    trigger = Trigger.parse(on, int(fault.value.get("nth", 1)))
    come = (r.t for r in history.records if r.t >= loaded and trigger.fits(r))
    return next(itertools.islice(come, trigger.nth - 1, None), None)


def _control(control: Control, history: History, conviction: dict[str, Any]) -> dict[str, Any]:
    """What was changed, what it was convicted of, and what it met."""
    return {
        **control.describe(),
        "users": len({op.actor for op in history.ops("login", "signup")}),
        **conviction,
        "history": f"control-{control.name}.jsonl",
        "faults": faults(history),
    }
