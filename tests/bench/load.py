"""Users who ask one question after the other over an open socket, as cheaply as Python can."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from random import Random

import orjson
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.stage import Side, User

QUESTION = "[data:full] How much would we save if the summarization jobs ran on a smaller model?"
PATIENCE = 60.0  # seconds; a run that takes longer is a defect, not a measurement
_LAST, _END = b'"agent_completed"', b'"agent_name":"supervisor"'
_BAD = (b'"agent_error"', b'"agent_death"', b'"type":"error"')


class Client:
    """One user's socket; counts what it receives. Questions have ids by seed: the model's answers depend on them."""

    def __init__(self, socket: ClientConnection, seed: str) -> None:
        self._socket, self._random = socket, Random(seed)
        self.frames = self.bytes = 0

    async def chat(self) -> float:
        """Seconds from a question to the end of its run; RuntimeError when it ends in an error."""
        ids = {
            name: str(uuid.UUID(int=self._random.getrandbits(128), version=4)) for name in ("message_id", "thread_id")
        }
        frame = orjson.dumps({"type": "chat_message", "payload": {"text": QUESTION}, **ids}).decode()
        begun = time.perf_counter()
        await self._socket.send(frame)
        while True:
            told = await self._socket.recv(decode=False)
            self.frames += 1
            self.bytes += len(told)
            if _END in told and _LAST in told:
                return time.perf_counter() - begun
            if any(bad in told for bad in _BAD):
                raise RuntimeError(f"a run did not end well: {told.decode()[:500]}")


@contextlib.asynccontextmanager
async def client(side: Side, user: User) -> AsyncIterator[Client]:
    """A connected user who has resumed at the end of his stream."""
    url = f"ws://127.0.0.1:{side.server.port}/ws"
    headers = {"Authorization": f"Bearer {user.token}"}
    how = {"compression": None, "max_queue": None, "ping_interval": None, "open_timeout": PATIENCE, "proxy": None}
    async with connect(url, additional_headers=headers, **how) as socket:  # type: ignore[arg-type]
        welcome = orjson.loads(await socket.recv())
        payload = {"last_seq": welcome["data"]["last_seq"]}
        await socket.send(orjson.dumps({"type": "resume", "payload": payload}).decode())
        yield Client(socket, f"{side.users.index(user)}/{payload['last_seq']}")


async def volley(clients: Sequence[Client], each: int) -> tuple[float, list[float]]:
    """Every client asks `each` questions one after the other: seconds for all of it, and each answer's seconds."""

    async def one(client: Client) -> list[float]:
        return [await client.chat() for _ in range(each)]

    begun = time.perf_counter()
    async with asyncio.timeout(PATIENCE):
        taken = await asyncio.gather(*map(one, clients))
    return time.perf_counter() - begun, [seconds for of in taken for seconds in of]
