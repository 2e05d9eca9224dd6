"""Defects about doing something twice."""

from __future__ import annotations

import uuid
from dataclasses import replace

from netra_sim.backend.chat.inbox import Accepted, Inbox
from netra_sim.backend.chat.messages import Order
from netra_sim.backend.parts import Parts
from netra_sim.backend.store.database import Database, T, Work


def idempotency_removed(parts: Parts) -> Parts:
    """A message that is stored already is taken for a new one: it is stored and answered once more."""

    class Forgetful(Inbox):
        async def _stored(self, order: Order) -> Accepted:
            return await self.store(replace(order, run_id=str(uuid.uuid4()), message_id=str(uuid.uuid4())))

    return replace(parts, inbox=Forgetful)


def every_commit_retried(parts: Parts) -> Parts:
    """A transaction is run again when the answer to its commit was lost, though it may have been committed."""

    class Insistent(Database):
        async def transaction(self, work: Work[T], *, repeatable: bool = False) -> T:
            return await super().transaction(work, repeatable=True)

    return replace(parts, database=Insistent)
