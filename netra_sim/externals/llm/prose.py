"""Plausible sentences about the cost of AI workloads. No I/O."""

from __future__ import annotations

import re
from random import Random

CHARACTERS_A_TOKEN = 4
_OPENINGS = (
    "Most of the spend comes from {model} calls with prompts above {kilo} thousand tokens.",
    "About {percent} % of requests could run on a smaller model without a loss of quality.",
    "Caching the repeated system prompt would save roughly {percent} % of input tokens.",
    "Latency is dominated by the {model} tail, where p99 is {times} times the median.",
    "Batching the nightly jobs in groups of {few} lowers the cost of each call.",
    "Retries make up {percent} % of the traffic, and most of them follow a rate limit.",
    "Trimming the retrieved context to {kilo} thousand tokens keeps the answers the same.",
    "Demand peaks {times} times above the daily mean, so reserved capacity pays off.",
    "Streaming responses early would halve the time that users wait for a first word.",
    "Routing short questions to the small model is the cheapest change to begin with.",
    "Measure cost for each answered question, as cost for each call hides the retries.",
    "Start with the {few} heaviest workloads, for they hold most of the possible savings.",
)
_MODELS = ("large-model", "embedding", "summary", "agent", "tool-use")
_WORKSPACE = re.compile(r"\bworkspace ([\w-]+)")
_LONGEST = 28  # tokens of the longest sentence, rounded up


def tokens(text: str) -> int:
    """How many tokens a text counts: one for every four characters begun."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


def sentence(stream: Random) -> str:
    """One sentence of at most 28 tokens."""
    return stream.choice(_OPENINGS).format(
        model=stream.choice(_MODELS),
        percent=stream.randint(5, 60),
        kilo=stream.randint(2, 30),
        times=stream.randint(2, 9),
        few=stream.randint(3, 12),
    )


def text(stream: Random, asked: str = "", least: int = 60, most: int = 120) -> str:
    """Sentences of `least` to `most` tokens; an answer names the workspace that the question names."""
    named = _WORKSPACE.search(asked)
    words = f"For workspace {named[1]}:" if named else ""
    target = stream.randint(least, max(least, most - _LONGEST))
    while tokens(words) < target:
        words = f"{words} {sentence(stream)}".strip()
    return words
