"""A platform with two entrances: what strikes one of them does not touch who comes in by the other."""

import uuid
from urllib.parse import urlsplit

import httpx
import pytest

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab
from netra_sim.scenarios.platform import platform
from tests.service.proxying import proxy_process
from tests.service.visitor import Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_users_of_the_second_entrance_chat_while_the_first_is_down(lab: Lab):
    name = f"t{uuid.uuid4().hex[:12]}"
    with proxy_process() as running:
        async with FaultControl(running.url) as control, platform(lab, control, name, 1, entrances=2) as at:
            assert [at.entrance(number) for number in (1, 2, 3)] == [at.url, at.entrances[1], at.url]
            first, second = (Worker(urlsplit(url).port or 0, None) for url in at.entrances)
            assert await first.alive()
            user = await second.sign_up()
            await control.add_toxic(f"{name}/edge", {"type": "down"})
            with pytest.raises(httpx.TransportError):
                await first.alive()
            async with second.socket(user.access) as client:
                end = await client.chat()
    assert end["type"] == "agent_completed"
    assert client.seqs == list(range(1, end["seq"] + 1))
