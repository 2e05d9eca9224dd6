"""redis-cli and redis-py tell the same through a proxy that reads Redis's protocol as without it."""

import asyncio
import contextlib
import re
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab
from netra_sim.lab.stores import delete_keys
from tests.service.proxying import within
from tests.service.through import WAYS, Told, clean_environment, machine_program, run, way

SCRIPT = """
PING
SET through:a 1
GET through:a
GET through:nothing
INCRBYFLOAT through:f 1.5
RPUSH through:l a b "c d" ""
LRANGE through:l 0 -1
LPUSH through:a x
HSET through:h f1 v1 f2 v2
HGETALL through:h
SADD through:s one
SMEMBERS through:s
ZADD through:z 1.5 a 2 b
ZRANGE through:z 0 -1 WITHSCORES
ZSCORE through:z a
XADD through:x 1-1 f v
XRANGE through:x - +
XREAD COUNT 1 STREAMS through:x 0
XREAD BLOCK 1 STREAMS through:x $
SISMEMBER through:s one
NOSUCHCOMMAND a b
SET through:a
MULTI
INCR through:a
GET through:a
LPUSH through:a y
EXEC
MULTI
NOSUCHCOMMAND
EXEC
MULTI
SET through:a 9
DISCARD
WATCH through:a
UNWATCH
EVAL "return {1, 'two', {3, false}}" 0
EVAL "return redis.error_reply('MY error')" 0
EVAL "redis.setresp(3); return {double=3.5}" 0
BLPOP through:nothing 0.01
BLPOP through:l 1
COMMAND COUNT
COMMAND DOCS GET SET
COMMAND
OBJECT ENCODING through:l
DEBUG NOTHING
SELECT 1
GET through:a
SELECT 0
SETRANGE through:big 1100000 x
GET through:big
PUBLISH through:news nobody
ACL WHOAMI
CLIENT SETNAME through
CLIENT GETNAME
CONFIG GET maxmemory
HELLO 3
HGETALL through:h
HELLO 2
HGETALL through:h
SCRIPT FLUSH
RESET
PING
QUIT
"""
BIG = 1_500_000  # bytes of a value: more than a reader holds of a message


@pytest.fixture(params=WAYS)
async def ports(request: pytest.FixtureRequest, control: FaultControl, lab: Lab) -> AsyncIterator[tuple[int, int]]:
    """Of the server, and of the proxy before it."""
    opaque = request.node.get_closest_marker("opaque") is not None
    async with way(control, "redis", lab.redis.port, request.param, opaque=opaque) as through:
        yield lab.redis.port, through


async def cli(lab: Lab, port: int, *words: str, stdin: bytes = b"") -> Told:
    """What redis-cli told, from a store without the keys of these tests; its number and slow times are left out."""
    await delete_keys(lab.redis.url, "through:")
    told = await run(machine_program("redis-cli", "redis-tools"), "-p", str(port), *words, stdin=stdin)
    return replace(told, out=re.sub(r"\bid\W+(\d+\) )?(\(integer\) )?\d+|\(\d+\.\d+s\)\n", "", told.out))


@pytest.mark.parametrize("words", [("--no-raw",), ("--no-raw", "-3")], ids=str)  # raw answers do not tell their types
async def test_redis_cli_runs_a_script(ports: tuple[int, int], lab: Lab, words: tuple[str, ...]) -> None:
    direct, through = [await cli(lab, port, *words, stdin=SCRIPT.encode()) for port in ports]
    assert through == direct
    assert "WRONGTYPE" in direct.out and len(direct.out) > 1_100_000


async def test_redis_cli_takes_a_value_from_its_input(ports: tuple[int, int], lab: Lab) -> None:
    value = bytes(range(256)) * (BIG // 256)
    for port in ports:
        assert (await cli(lab, port, "-x", "SET", "through:big", stdin=value)).out == "OK\n"
        async with redis.Redis(port=lab.redis.port) as client:
            assert await client.get("through:big") == value


async def test_redis_cli_imports_in_bulk(ports: tuple[int, int], lab: Lab) -> None:
    lines = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(k), k, len(v), v) for k, v in _pairs())
    wrong = b"*3\r\n$5\r\nLPUSH\r\n$9\r\nthrough:1\r\n$1\r\nx\r\n"
    direct, through = [await cli(lab, port, "--pipe", stdin=lines + wrong) for port in ports]
    assert through == direct
    assert "errors: 1, replies: 10001" in direct.out
    async with redis.Redis(port=lab.redis.port) as client:
        assert await client.strlen("through:9999") == 9999 % 700


def _pairs() -> Iterator[tuple[bytes, bytes]]:
    return ((b"through:%d" % n, b"v" * (n % 700)) for n in range(10_000))


@pytest.mark.parametrize("words", [(), ("-3",)], ids=str)
async def test_redis_cli_hears_what_is_published(ports: tuple[int, int], words: tuple[str, ...]) -> None:
    asked = (*words, "SUBSCRIBE", "through:news", "through:more")
    direct, through = [await listened(ports[0], port, asked, "more") for port in ports]
    assert through == direct
    assert "hello" in direct


async def test_redis_cli_monitors(ports: tuple[int, int]) -> None:
    direct, through = [await listened(ports[0], port, ("MONITOR",), "OK") for port in ports]
    assert through == direct
    assert '"publish" "through:news" "hello"' in direct.lower()


async def listened(server: int, port: int, asked: tuple[str, ...], ready: str) -> str:
    """What redis-cli heard of a message published once it was ready; times and addresses left out."""
    program = machine_program("redis-cli", "redis-tools")
    process = await asyncio.create_subprocess_exec(
        program, "-p", str(port), *asked, stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=clean_environment()
    )
    assert process.stdout is not None
    heard = ""
    try:
        async with redis.Redis(port=server) as client:
            while ready not in heard:
                heard += (await within(process.stdout.readline())).decode()
            await client.publish("through:news", "hello")
            while "hello" not in heard:
                heard += (await within(process.stdout.readline())).decode()
    finally:
        process.kill()
        await process.wait()
    return re.sub(r'(?m)^[\d.]+ \[.*?\]|.*"(client|hello|HELLO|CLIENT)" .*\n', "", heard)


# A replica's stream is no conversation: it is opaque.
@pytest.mark.opaque
async def test_redis_cli_copies_the_store(ports: tuple[int, int], lab: Lab, tmp_path: Path) -> None:
    direct, through = [await cli(lab, port, "--rdb", str(tmp_path / f"{port}.rdb")) for port in ports]
    assert (through.code, direct.code) == (0, 0), through.err
    begins = [(tmp_path / f"{port}.rdb").read_bytes()[:6] for port in ports]
    assert begins[0] == begins[1] and begins[0] in (b"REDIS0", b"VALKEY")


# -- the driver -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
async def test_redis_py_sees_the_same(ports: tuple[int, int], lab: Lab, protocol: int) -> None:
    direct, through = [await by_redis_py(lab, port, protocol) for port in ports]
    assert through == direct
    assert b"x" * BIG in direct and "WRONGTYPE" in str(direct)


async def by_redis_py(lab: Lab, port: int, protocol: int) -> list[Any]:
    await delete_keys(lab.redis.url, "through:")
    said: list[Any] = []
    async with redis.Redis(port=port, protocol=protocol) as client, redis.Redis(port=port, protocol=protocol) as other:
        pipeline = client.pipeline(transaction=False)
        for n in range(2_000):
            pipeline.set(f"through:{n}", n).incr(f"through:{n}").get(f"through:{n}")
        pipeline.lpush("through:1", "x")
        said += await pipeline.execute(raise_on_error=False)
        async with client.pipeline(transaction=True) as transaction:
            await transaction.watch("through:1")
            transaction.multi()
            await other.set("through:1", "changed")
            transaction.get("through:1")
            with contextlib.suppress(redis.WatchError):
                said.append(await transaction.execute())
        said.append(repr([str(value) for value in said if isinstance(value, Exception)]))
        said = [value for value in said if not isinstance(value, Exception)]
        await client.set("through:big", b"x" * BIG)
        await client.zadd("through:z", {"a": 1.5, "b": 2})
        await client.hset("through:h", mapping={"f": "v"})
        said += [await client.get("through:big"), await client.zrange("through:z", 0, -1, withscores=True)]
        said += [await client.hgetall("through:h"), await client.mget("through:1", "through:none")]
        blocked = asyncio.ensure_future(client.blpop(["through:q", "through:r"], timeout=10))
        said.append(await other.rpush("through:r", "came"))
        said += [await within(blocked), await client.blpop(["through:q"], timeout=0.05)]
        said.append(await client.eval("return {KEYS[1], ARGV[1], 1}", 1, "through:1", "a"))
        said += sorted([key async for key in client.scan_iter("through:1*", count=500)])
        async with client.pubsub() as heard:
            await heard.subscribe("through:news")
            await heard.psubscribe("through:p*")
            said += [await within(heard.get_message(timeout=None)) for _ in range(2)]
            await other.publish("through:news", b"n" * 100_000)
            await other.publish("through:pat", "p")
            said += [await within(heard.get_message(timeout=None)) for _ in range(2)]
            await heard.ping()
            await heard.unsubscribe()
            said += [await within(heard.get_message(timeout=None)) for _ in range(2)]
    return said
