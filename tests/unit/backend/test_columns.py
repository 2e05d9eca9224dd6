import random

import aiohttp
import pytest

from netra_sim.backend.reliability.policy import TABLE, Policy, Unavailable
from netra_sim.backend.store.columns import Columns, transient
from netra_sim.kernel.clock import ManualClock


class Told(Exception):
    """An error of the client, with the engine's code."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (Told(241), True), (Told(159), True), (Told(252), True), (Told(60), False), (Told(62), False),
        (Told(None), False), (ConnectionResetError(), True), (TimeoutError(), True),
        (aiohttp.ServerDisconnectedError(), True), (KeyError(), False),
    ],
)  # fmt: skip
def test_what_may_succeed_later(error: Exception, again: bool):
    assert transient(error) == again


async def test_without_an_address_every_question_is_unavailable():
    row, rng = TABLE["clickhouse"], random.Random(1)
    columns = Columns("", Policy("clickhouse", row, clock=ManualClock(), rng=rng, transient=transient))
    with pytest.raises(Unavailable, match="not configured"):
        await columns.rows("SELECT 1")
    assert not await columns.ping()
    await columns.close()
