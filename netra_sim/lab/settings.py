"""The lab's settings: `NETRA_*` variables, checked before anything starts; a password is never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from netra_sim.kernel.errors import BadValue

SEED, TIME_SCALE = 7, 0.1  # of a lab of which nothing else is said
EMBEDDED, ON_PATH, ON, OFF = "embedded", "path", "on", "off"
SCHEMES = {
    "NETRA_POSTGRES": ("postgresql", "postgres"),
    "NETRA_REDIS": ("redis", "rediss"),
    "NETRA_CLICKHOUSE": ("http", "https"),
    "NETRA_LLM": ("http", "https"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Which servers to use (`embedded`, `path`, `off` or a URL), fixed ports (None: any free one), where data lie."""

    postgres: str = EMBEDDED
    redis: str = EMBEDDED
    clickhouse: str = EMBEDDED
    llm: str = EMBEDDED
    nursery: bool = True  # fork workers where that is possible
    postgres_port: int | None = None
    redis_port: int | None = None
    data_dir: Path | None = None


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings that the variables give; BadValue names the first that is wrong. An empty one counts as unset."""
    return Settings(
        postgres=_server(environment, "NETRA_POSTGRES", (EMBEDDED, ON_PATH)),
        redis=_server(environment, "NETRA_REDIS", (EMBEDDED, ON_PATH)),
        clickhouse=_server(environment, "NETRA_CLICKHOUSE", (EMBEDDED, OFF)),
        llm=_server(environment, "NETRA_LLM", (EMBEDDED,)),
        nursery=_switch(environment, "NETRA_NURSERY"),
        postgres_port=_port(environment, "NETRA_POSTGRES_PORT"),
        redis_port=_port(environment, "NETRA_REDIS_PORT"),
        data_dir=_directory(environment, "NETRA_DATA_DIR"),
    )


def redact(text: str) -> str:
    """The text with the password of each URL in it replaced by stars."""
    hidden = re.sub(r"(://[^\s:/@]*):\S*@", r"\1:***@", text)
    return re.sub(r"([?&]password=)[^&\s]*", r"\1***", hidden)


def _server(environment: Mapping[str, str], field: str, words: tuple[str, ...]) -> str:
    value = environment.get(field, "") or EMBEDDED
    if value in words:
        return value
    schemes = SCHEMES[field]
    allowed = f"{', '.join(words)} or a URL {schemes[0]}://host:port/…"
    try:
        parts = urlsplit(value)
        sound = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        sound = False
    if not sound:
        raise BadValue(field=field, value=redact(value), allowed=allowed)
    return value


def _switch(environment: Mapping[str, str], field: str) -> bool:
    value = environment.get(field, "") or ON
    if value not in (ON, OFF):
        raise BadValue(field=field, value=value, allowed=f"{ON} or {OFF}")
    return value == ON


def _port(environment: Mapping[str, str], field: str) -> int | None:
    value = environment.get(field, "")
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
        raise BadValue(field=field, value=value, allowed="a port number from 1 to 65535")
    return int(value)


def _directory(environment: Mapping[str, str], field: str) -> Path | None:
    value = environment.get(field, "")
    if not value:
        return None
    path = Path(value).absolute()
    if not (path.is_dir() and os.access(path, os.W_OK | os.X_OK)):
        raise BadValue(field=field, value=value, allowed="an existing directory that can be written")
    return path
