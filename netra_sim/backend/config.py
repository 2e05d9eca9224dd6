"""The one settings table; every figure can be overridden by the environment (`NETRA_<NAME>`)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netra_sim.kernel.errors import BadValue

Protection = Literal["deadline", "retry", "breaker", "timeout", "budget", "fallback"]
Tier = Literal["free", "early", "mid", "enterprise"]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """Addresses, limits and times of a worker; seconds are before `time_scale` (reference, section 7)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    postgres_url: str
    redis_url: str
    llm_url: str
    clickhouse_url: str = ""  # without one there are answers, but no figures in them
    llm_key: str = "none"
    redis_prefix: str = "netra:"
    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    worker: str = "worker"
    seed: int = 1
    time_scale: float = Field(1.0, gt=0, le=10)
    without: frozenset[Protection] = frozenset()
    parts: str = ""

    pool_size: int = Field(20, ge=1, le=500)
    request_deadline: Seconds = 5.0
    run_deadline: Seconds = 120.0
    agents_at_once: Count = 200
    primary_model: str = "netra-large"
    fallback_model: str = "netra-small"

    issuer: str = "netra"
    audience: str = "netra-platform"
    access_life: Seconds = 900.0
    refresh_life: Seconds = 7 * 86400.0
    clock_skew: float = Field(60.0, ge=0, allow_inf_nan=False)
    clock_offset: float = Field(0.0, allow_inf_nan=False)  # real seconds, not scaled

    heartbeat: Seconds = 25.0
    authentication_timeout: Seconds = 10.0
    idle_timeout: Seconds = 300.0
    outbound_frames: Count = 200
    outbound_burst: Count = 1000
    replay_kept: Count = 1000

    def wall(self) -> float:
        """The time of day in seconds since 1970, as this worker's clock has it: tokens begin and end by it."""
        return time.time() + self.clock_offset

    def scaled(self, seconds: float) -> float:
        """A timeout, pause or life, as it is at this time scale."""
        return seconds * self.time_scale


# Bytes of a message and messages a minute, by tier (reference, section 1).
MESSAGE_BYTES: dict[Tier, int] = {"free": 8192, "early": 65536, "mid": 65536, "enterprise": 65536}
SENDS_PER_MINUTE: dict[Tier, int] = {"free": 10, "early": 100, "mid": 300, "enterprise": 1000}


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings that `NETRA_*` variables give; BadValue names the first field that is wrong."""
    given: dict[str, object] = {}
    for name in Settings.model_fields:
        if (text := environment.get(f"NETRA_{name.upper()}")) is not None:
            given[name] = [w for w in text.split(",") if w] if name == "without" else text
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])  # what follows in `loc` is a place within the value
        # Of a missing one the input is all the others, secrets included.
        field = f"NETRA_{name.upper()}"
        raise BadValue(field=field, value=environment.get(field, ""), allowed=first["msg"]) from error
