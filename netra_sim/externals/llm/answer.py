"""What the model answers: a pure function of the seed, the draw and the question. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace

import orjson

from netra_sim.externals.llm import prose
from netra_sim.externals.llm.document import Author
from netra_sim.externals.llm.question import Question, Tool
from netra_sim.kernel.rng import Rng


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call: `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Text or tool calls, with the tokens that are charged."""

    text: str
    calls: tuple[Call, ...]
    prompt_tokens: int
    completion_tokens: int

    @property
    def finish_reason(self) -> str:
        """Why the model stopped: `tool_calls` or `stop`."""
        return "tool_calls" if self.calls else "stop"


def stage(question: Question) -> str:
    """Which step of an agent's turn this is: `tools` (to be called) or `answer`."""
    return "tools" if question.tools and not question.answered else "answer"


def compose(rng: Rng, question: Question) -> Answer:
    """Answer a question; `rng` is the place in the seed's tree that belongs to the draw."""
    prompt = -(-question.characters // prose.CHARACTERS_A_TOKEN)
    here = rng.child(stage(question))
    if stage(question) == "tools":
        calls = tuple(_call(here.child(number, tool.name), tool) for number, tool in enumerate(question.tools))
        return Answer("", calls, prompt, sum(prose.tokens(call.name + call.arguments) for call in calls))
    if question.schema is not None:
        author = Author(here, question.schema, question.results, question.asked)
        text = orjson.dumps(author.value(question.schema)).decode()
    else:
        text = prose.text(here.stream("text"), question.asked)
    return Answer(text, (), prompt, prose.tokens(text))


def spoil(answer: Answer) -> Answer:
    """The same answer with its JSON broken off half way, as a model does that loses its thread."""
    calls = tuple(replace(call, arguments=_half(call.arguments)) for call in answer.calls)
    return replace(answer, text=_half(answer.text), calls=calls)


def misfit(answer: Answer) -> Answer:
    """The same answer as JSON of another shape: figures out of all bounds, and no first field."""
    calls = tuple(replace(call, arguments="[]") for call in answer.calls)
    try:
        said = orjson.loads(answer.text)
    except orjson.JSONDecodeError:
        return replace(answer, calls=calls)
    if not isinstance(said, dict):
        return replace(answer, text="{}", calls=calls)
    wrong = {k: -1e12 if isinstance(v, int | float) else v for k, v in list(said.items())[1:]}
    return replace(answer, text=orjson.dumps(wrong).decode(), calls=calls)


def mistake(answer: Answer) -> Answer:
    """The same answer with calls of tools that nobody offered."""
    return replace(answer, calls=tuple(replace(call, name=f"{call.name}_of_nobody") for call in answer.calls))


def overcharge(answer: Answer) -> Answer:
    """The same answer, charged with ten times the tokens of its prompt."""
    return replace(answer, prompt_tokens=10 * answer.prompt_tokens)


def _call(rng: Rng, tool: Tool) -> Call:
    arguments = Author(rng, tool.parameters).value({"type": "object", **tool.parameters}, "arguments")
    return Call(f"call_{rng.digest():016x}", tool.name, orjson.dumps(arguments).decode())


def _half(text: str) -> str:
    """The first half of a text, and a character that no JSON document ends with."""
    return f"{text[: len(text) // 2]}," if text else ""
