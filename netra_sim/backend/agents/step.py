"""One agent's work: ask the model, run the tools it calls, check the answer; every move is an event."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from netra_sim.backend.agents import rules
from netra_sim.backend.agents.llm import BadAnswer, By, Model, NoAnswer
from netra_sim.backend.agents.rules import Rule
from netra_sim.backend.agents.specs import Agent
from netra_sim.backend.agents.sse import Call, Completion
from netra_sim.backend.agents.tools import Tool, offered
from netra_sim.backend.chat.messages import Entry, Event, Order, RunJournal
from netra_sim.backend.reliability.policy import Policy, Unavailable
from netra_sim.backend.reliability.together import together
from netra_sim.backend.store.columns import Columns

RunTool = Callable[[Call], Coroutine[Any, Any, dict[str, Any]]]
Gather = Callable[[Sequence[Call], RunTool], Awaitable[list[dict[str, Any]]]]
Check = Callable[[str, Agent], dict[str, Any]]
ChooseRoute = Callable[[float | None], str]


class ToolFailed(Exception):
    """A tool gave no data: an agent that has no figures must not state any."""


async def at_once(calls: Sequence[Call], run: RunTool) -> list[dict[str, Any]]:
    """The tools of one agent are independent: run them in parallel."""
    return await together(*(run(call) for call in calls))


@dataclass(frozen=True)
class Bench:
    """What every run and its agents work with."""

    model: Model
    columns: Columns
    tools: Mapping[str, Tool]
    policy: Policy
    gather: Gather
    rules: Mapping[str, Rule]
    check: Check
    route: ChooseRoute


class Step:
    """One agent within one run."""

    def __init__(self, agent: Agent, order: Order, journal: RunJournal, bench: Bench) -> None:
        self._agent, self._order, self._journal, self._bench = agent, order, journal, bench
        self._thoughts = 0
        self.by: By = "primary"

    async def run(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """The agent's checked answer, given what the agents before it found; `by` then says whose it is."""
        begun = time.monotonic()
        events = [self.event("agent_started", status="started", message=self._agent.prompt), self._thinking(10)]
        await self._journal.write(Entry(events))
        talk = self._opening(known)
        results: dict[str, Any] = {}
        if self._agent.tools:
            told, results = await self._with_tools(talk)
            talk += told
        result, self.by = await self._answer(talk, known, results)
        took = round((time.monotonic() - begun) * 1000, 3)
        done = self.event("agent_completed", status="completed", result=result, by=self.by, execution_time_ms=took)
        await self._journal.write(Entry([done], checkpoint=(self._agent.name, result)))
        return result

    def event(self, type_: str, **data: Any) -> Event:
        """An event of this agent."""
        return Event(type_, {"agent_name": self._agent.name, **data})

    def _thinking(self, percent: int) -> Event:
        self._thoughts += 1
        words = "Reading the question" if self._thoughts == 1 else "Weighing what the tools found"
        return self.event("agent_thinking", reasoning=words, step_number=self._thoughts, progress_percentage=percent)

    def _opening(self, known: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = orjson.dumps(dict(known)).decode()
        return [
            {"role": "system", "content": f"{self._agent.prompt} Found so far: {found}"},
            {"role": "user", "content": self._order.text},
        ]

    async def _with_tools(self, talk: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """What was asked of the tools and what they said, as messages; and their results by name."""
        calls = await self._calls(talk)
        outcomes = await self._bench.gather(calls, self._call)
        if errors := [o["error"] for o in outcomes if "error" in o]:
            raise ToolFailed("; ".join(errors))
        await self._journal.write(Entry([self._thinking(60)]))
        asked = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls
        ]
        told = [
            {"role": "tool", "tool_call_id": c.id, "content": orjson.dumps(o["result"]).decode()}
            for c, o in zip(calls, outcomes, strict=True)
        ]
        results = {c.name: o["result"] for c, o in zip(calls, outcomes, strict=True)}
        return [{"role": "assistant", "content": None, "tool_calls": asked}, *told], results

    async def _calls(self, talk: list[dict[str, Any]]) -> Sequence[Call]:
        """The tool calls that the model asks for; without it, each tool that the agent has."""
        request = {"messages": talk, "tools": offered(self._agent.tools), "tool_choice": "required"}
        try:
            calls, _ = await self._bench.model.complete(request, self._draw("tools"), self._called)
        except NoAnswer:
            if self._agent.name not in self._bench.rules:
                raise
            return rules.calls(self._agent)
        return calls

    async def _call(self, call: Call) -> dict[str, Any]:
        """Run one tool; its failure is a result that says so."""
        told = self.event("tool_executing", tool_name=call.name, call_id=call.id, parameters=_arguments(call))
        await self._journal.write(Entry([told]))
        begun = time.monotonic()
        outcome: dict[str, Any]
        tool = self._bench.tools[call.name]
        try:
            outcome = {"result": await self._bench.policy.run(lambda: tool(self._bench.columns, self._order.user_id))}
        except Unavailable as error:
            outcome = {"error": f"the tool could not reach its data ({error.dependency})"}
        took = round((time.monotonic() - begun) * 1000, 3)
        done = self.event("tool_completed", tool_name=call.name, call_id=call.id, **outcome, execution_time_ms=took)
        await self._journal.write(Entry([done]))
        return outcome

    async def _answer(
        self, talk: list[dict[str, Any]], known: Mapping[str, Any], results: Mapping[str, Any]
    ) -> tuple[dict[str, Any], By]:
        schema = {"name": self._agent.name, "schema": self._agent.schema()}
        request = {"messages": talk, "response_format": {"type": "json_schema", "json_schema": schema}}
        try:
            return await self._bench.model.complete(request, self._draw("answer"), self._read)
        except NoAnswer as error:
            rule = self._bench.rules.get(self._agent.name)
            if rule is None:
                raise
            answer = rule(rules.Facts(self._order.text, known, results, error.text))
            return self._bench.check(orjson.dumps(answer).decode(), self._agent), "rule"

    def _called(self, completion: Completion) -> list[Call]:
        return called(completion, self._agent.tools)

    def _read(self, completion: Completion) -> dict[str, Any]:
        return self._bench.check(completion.text, self._agent)

    def _draw(self, stage: str) -> str:
        return f"{self._order.user_id}/{self._order.message_id}/{self._agent.name}/{stage}"


def called(completion: Completion, known: Collection[str]) -> list[Call]:
    """A completion's tool calls; BadAnswer for none, a tool not offered, or one without an own id or a JSON object."""
    if not completion.calls:
        raise BadAnswer("no tool was called")
    ids = {call.id for call in completion.calls}
    if "" in ids or len(ids) < len(completion.calls):
        raise BadAnswer("a tool call has no id of its own")
    for call in completion.calls:
        if call.name not in known:
            raise BadAnswer(f"there is no tool named {call.name}, but {', '.join(known)}")
        if not isinstance(_arguments(call), dict):
            raise BadAnswer(f"the arguments of {call.name} are not a JSON object")
    return completion.calls


def checked(text: str, agent: Agent) -> dict[str, Any]:
    """The answer as an object with every property there, of its type and within its bounds; else BadAnswer."""
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadAnswer(f"not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise BadAnswer("not an object")
    for name, spec in agent.properties.items():
        _check_property(name, spec, answer.get(name))
    return {name: answer[name] for name in agent.properties}


def _check_property(name: str, spec: dict[str, Any], value: Any) -> None:
    kinds: dict[str, Any] = {"string": str, "number": (int, float), "array": list}
    if not isinstance(value, kinds[spec["type"]]) or isinstance(value, bool):
        raise BadAnswer(f"{name} is not a {spec['type']}")
    if spec["type"] == "array":
        if not spec["minItems"] <= len(value) <= spec["maxItems"]:
            raise BadAnswer(f"{name} has not {spec['minItems']} to {spec['maxItems']} items")
        for item in value:
            _check_property(f"an item of {name}", spec["items"], item)
    if spec["type"] == "number" and not spec["minimum"] <= value <= spec["maximum"]:
        raise BadAnswer(f"{name} is outside {spec['minimum']} to {spec['maximum']}")
    if "enum" in spec and value not in spec["enum"]:
        raise BadAnswer(f"{name} is none of {spec['enum']}")


def _arguments(call: Call) -> Any:
    try:
        return orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        return None
