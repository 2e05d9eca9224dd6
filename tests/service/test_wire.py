"""The wire parsers between real clients and real servers: a relay hands every slice to a conversation."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
import redis.asyncio

from netra_sim.faults.wire.base import OPAQUE, Conversation, Message, Stream
from netra_sim.faults.wire.postgres import Postgres
from netra_sim.faults.wire.redis_keys import keys
from netra_sim.faults.wire.resp import Resp
from netra_sim.lab.lab import Lab
from tests.service.proxying import Streams, within

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Tap:
    """A relay in front of a server; `messages` are those of its connections, in the order of their coming."""

    def __init__(self, port: int, kind: type[Conversation]) -> None:
        self._upstream, self._kind = port, kind
        self.messages: list[Message] = []
        self.conversations: list[Conversation] = []

    async def pump(self, conversation: Conversation, stream: Stream, source: Streams, target: Streams) -> None:
        while data := await source[0].read(1 << 16):
            self.messages += conversation.feed(stream, data)
            target[1].write(data)
        target[1].close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = self._kind()
        self.conversations.append(conversation)
        client, server = (reader, writer), await asyncio.open_connection("127.0.0.1", self._upstream)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(
                self.pump(conversation, "upstream", client, server),
                self.pump(conversation, "downstream", server, client),
            )

    def told(self, *types: str) -> list[tuple[str, str]]:
        """Types and texts of what has come since the last time."""
        found, self.messages = self.messages, []
        return [(message.type, message.text) for message in found if not types or message.type in types]

    def understood(self) -> bool:
        """Whether nothing was opaque and nothing is left over."""
        rests = [c.rest("upstream") + c.rest("downstream") + c.opaque.encode() for c in self.conversations]
        return not any(rests) and not any(message.type == OPAQUE for message in self.messages)


@contextlib.asynccontextmanager
async def tapped(port: int, kind: type[Conversation]) -> AsyncIterator[tuple[int, Tap]]:
    tap = Tap(port, kind)
    async with await asyncio.start_server(tap.serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], tap


@pytest_asyncio.fixture(loop_scope="session")
async def database(lab: Lab) -> AsyncIterator[tuple[asyncpg.Connection, Tap]]:
    async with tapped(lab.postgres.port, Postgres) as (port, tap):
        connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", ssl=False)
        yield connection, tap
        assert tap.understood()
        await connection.close()


@pytest.fixture(params=[2, 3])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest_asyncio.fixture(loop_scope="session")
async def store(lab: Lab, protocol: int) -> AsyncIterator[tuple[redis.asyncio.Redis, Tap]]:
    async with (
        tapped(lab.redis.port, Resp) as (port, tap),
        redis.asyncio.Redis(port=port, protocol=protocol) as client,
    ):
        await client.ping()
        tap.told()
        yield client, tap
        assert tap.understood()


# -- Postgres -----------------------------------------------------------------------------------------------------


async def test_a_startup_is_told_with_its_user(database: tuple[asyncpg.Connection, Tap]) -> None:
    _, tap = database
    start = next(message for message in tap.messages if message.type == "StartupMessage")
    assert (start.facts["user"], start.facts["database"]) == ("postgres", "postgres")
    ready = next(message for message in tap.messages if message.type == "ReadyForQuery")
    assert ready.exchange == 1 and ready.last and ready.facts["status"] == "I"


async def test_a_prepared_statement_is_known_when_executed_again(database: tuple[asyncpg.Connection, Tap]) -> None:
    connection, tap = database
    sql = "SELECT $1::int4 + 1"
    await connection.fetch(sql, 1)
    tap.told()
    assert (await connection.fetch(sql, 41))[0][0] == 42
    names = ["Bind", "Execute", "Sync", "BindComplete", "DataRow", "CommandComplete", "ReadyForQuery"]
    assert tap.told() == [(name, sql) for name in names]


async def test_a_transaction_shows_in_the_status(database: tuple[asyncpg.Connection, Tap]) -> None:
    connection, tap = database
    tap.told()
    with contextlib.suppress(asyncpg.DivisionByZeroError):
        async with connection.transaction():
            await connection.execute("SELECT 1/0")
    status = [m.facts["status"] for m in tap.messages if m.type == "ReadyForQuery"]
    (error,) = [m for m in tap.messages if m.type == "ErrorResponse"]
    assert status == ["T", "E", "I"]
    assert error.facts["sqlstate"] == "22012" and error.text == "SELECT 1/0"


async def test_copies_and_batches_belong_to_their_statements(database: tuple[asyncpg.Connection, Tap]) -> None:
    connection, tap = database
    await connection.execute("CREATE TEMP TABLE wire (n int, name text)")
    tap.told()
    await connection.copy_records_to_table("wire", records=[(n, "x" * 1000) for n in range(300)])
    copied = {text for _, text in tap.told("CopyData", "CopyDone", "CommandComplete")}
    assert len(copied) == 1 and copied.pop().startswith('COPY "wire"')
    sql = "INSERT INTO wire VALUES ($1, $2)"
    await connection.executemany(sql, [(n, "y") for n in range(50)])
    batch = [m for m in tap.messages if m.type in ("Bind", "CommandComplete")]
    assert {m.text for m in batch} == {sql} and len(batch) == 100
    assert await connection.fetchval("SELECT count(*) FROM wire") == 350


async def test_a_notification_belongs_to_no_exchange(database: tuple[asyncpg.Connection, Tap]) -> None:
    connection, tap = database
    heard: asyncio.Queue[object] = asyncio.Queue()
    await connection.add_listener("wire", lambda *said: heard.put_nowait(said[3]))
    await connection.execute("NOTIFY wire, 'hello'")
    assert await within(heard.get()) == "hello"
    (message,) = [m for m in tap.messages if m.type == "NotificationResponse"]
    assert message.exchange == 0 and message.facts["payload"] == "hello"
    await connection.reset()


async def test_a_refused_encryption_goes_on_in_plain(lab: Lab) -> None:
    async with tapped(lab.postgres.port, Postgres) as (port, tap):
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=prefer"
        await (await asyncpg.connect(url)).close()
        assert [kind for kind, _ in tap.told()][:3] == ["SSLRequest", "SSLResponse", "StartupMessage"]
        assert tap.understood()


# -- Redis --------------------------------------------------------------------------------------------------------


async def test_a_pipeline_has_a_reply_for_each_command(store: tuple[redis.asyncio.Redis, Tap]) -> None:
    client, tap = store
    pipeline = client.pipeline(transaction=False)
    pipeline.set("wire:a", "1").incr("wire:a").hgetall("wire:none")
    assert await pipeline.execute() == [True, 2, {}]
    texts = ["SET wire:a 1", "INCRBY wire:a 1", "HGETALL wire:none"]
    assert tap.told("command") == [("command", text) for text in texts]


async def test_replies_are_those_of_their_commands(store: tuple[redis.asyncio.Redis, Tap]) -> None:
    client, tap = store
    await client.delete("wire:h")
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.hset("wire:h", mapping={"a": "1"}).get("wire:h")
        with contextlib.suppress(redis.exceptions.ResponseError):
            await pipeline.execute()
    await client.set("wire:long", "x" * 100_000)
    assert len(await client.get("wire:long")) == 100_000
    replies = [m for m in tap.messages if m.type == "reply"]
    texts = [m.text.split()[0] for m in replies]
    assert texts == ["DEL", "MULTI", "HSET", "GET", "EXEC", "SET", "GET"]
    assert all(m.last and m.exchange for m in replies) and replies[-1].facts["key"] == "wire:long"


async def test_an_error_is_a_fact(store: tuple[redis.asyncio.Redis, Tap]) -> None:
    client, tap = store
    await client.set("wire:s", "x")
    with pytest.raises(redis.exceptions.ResponseError):
        await client.lpush("wire:s", "y")
    assert tap.messages[-1].facts["error"].startswith("WRONGTYPE")
    assert tap.messages[-1].facts["key"] == "wire:s"


async def test_a_published_message_is_a_push(store: tuple[redis.asyncio.Redis, Tap], lab: Lab) -> None:
    client, tap = store
    async with client.pubsub() as subscription, redis.asyncio.Redis.from_url(lab.redis.url) as other:
        await subscription.subscribe("wire:news", "wire:more")
        for _ in range(2):
            await within(subscription.get_message(timeout=None))
        await other.publish("wire:news", "hello")
        message = await within(subscription.get_message(timeout=None))
        assert message["data"] == b"hello"
        (push,) = [m for m in tap.messages if m.type == "push"]
        assert (push.exchange, push.text, push.facts["channel"]) == (0, "message wire:news hello", "wire:news")
        confirmed = [m.last for m in tap.messages if m.type == "reply" and m.text.startswith("SUBSCRIBE")]
        assert confirmed == [False, True]


@pytest.mark.parametrize(
    "line",
    [
        "GET k", "MSET a 1 b 2", "EVAL s 2 a b c", "XREADGROUP GROUP g c STREAMS s t > >", "BLPOP a b 0",
        "ZUNIONSTORE d 2 a b", "XGROUP CREATE s g 0", "BITOP AND d a b", "LMPOP 2 a b LEFT", "XREAD STREAMS a 0",
        "RENAME a b", "OBJECT ENCODING a", "SMOVE a b m", "FCALL f 1 a x", "BLMOVE a b LEFT LEFT 0", "PFCOUNT a b",
        "ZINTERCARD 2 a b", "XACK s g 1-1", "EXPIRE a 5", "GEOSEARCHSTORE a b FROMMEMBER m BYRADIUS 1 m",
    ],
)  # fmt: skip
async def test_the_server_finds_the_same_keys(lab: Lab, line: str) -> None:
    async with redis.asyncio.Redis.from_url(lab.redis.url) as client:
        said = line.encode().split()
        found = [key.decode() for key in keys(said[0].decode(), said)]
        assert found == await client.execute_command("COMMAND GETKEYS", *said)
