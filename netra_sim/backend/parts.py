"""The parts of which a worker is put together; a known defect replaces one of them by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from netra_sim.backend.agents.llm import Model
from netra_sim.backend.agents.schedule import Schedule, by_dependency
from netra_sim.backend.agents.specs import route_for
from netra_sim.backend.agents.step import Check, ChooseRoute, Gather, at_once, checked
from netra_sim.backend.agents.tools import TOOLS, Tool
from netra_sim.backend.chat.bell import Bell
from netra_sim.backend.chat.gateway import Credentials, Welcome, credentials, welcome
from netra_sim.backend.chat.hub import Hub
from netra_sim.backend.chat.inbox import Inbox
from netra_sim.backend.chat.journal import Journal
from netra_sim.backend.chat.socket import Socket
from netra_sim.backend.identity.tokens import Tokens
from netra_sim.backend.reliability.cache import Cache
from netra_sim.backend.store.database import Database
from netra_sim.backend.store.redis import RedisStore
from netra_sim.kernel.errors import BadValue


@dataclass(frozen=True)
class Parts:
    """Each part with the one that production uses."""

    database: type[Database] = Database
    redis: type[RedisStore] = RedisStore
    cache: type[Cache] = Cache
    tokens: type[Tokens] = Tokens
    credentials: Credentials = credentials
    welcome: Welcome = welcome
    socket: type[Socket] = Socket
    hub: type[Hub] = Hub
    bell: type[Bell] = Bell
    inbox: type[Inbox] = Inbox
    journal: type[Journal] = Journal
    model: type[Model] = Model
    schedule: Schedule = by_dependency
    gather: Gather = at_once
    check: Check = checked
    route: ChooseRoute = route_for
    tools: Mapping[str, Tool] = field(default_factory=lambda: TOOLS)


def load(path: str) -> Parts:
    """The parts as `module:function` changes them, the production ones for an empty path; BadValue otherwise."""
    if not path:
        return Parts()
    module, _, name = path.partition(":")
    try:
        change: Callable[[Parts], Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise BadValue(field="parts", value=path, allowed="the path of a function, as module:function") from error
    changed = change(Parts())
    if not isinstance(changed, Parts):
        raise BadValue(field="parts", value=path, allowed="a function from Parts to Parts")
    return changed
