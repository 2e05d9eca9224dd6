"""When each token is due: lognormal first token, then a steady rate. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netra_sim.kernel.rng import Rng

FIRST_TOKEN_MEDIAN_S = 0.250
FIRST_TOKEN_SIGMA = 0.5
TOKENS_A_SECOND = 150.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds until the first token and between tokens, both already scaled."""

    first_s: float
    token_s: float

    def due(self, tokens: int) -> float:
        """Seconds after the request at which `tokens` tokens have been said."""
        return self.first_s + tokens * self.token_s


def pace(rng: Rng, time_scale: float) -> Pace:
    """The pace of one answer; a time scale of 0 means that nothing waits."""
    first = math.exp(rng.stream("first-token").gauss(math.log(FIRST_TOKEN_MEDIAN_S), FIRST_TOKEN_SIGMA))
    return Pace(first * time_scale, time_scale / TOKENS_A_SECOND)
