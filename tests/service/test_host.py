"""The pipe between a notebook and its lab host: calls, progress, errors, cancelling, and the host's end."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator

import pytest

from netra_sim.kernel.errors import BadValue, HostGone, NetraError, UnknownName
from netra_sim.lab.client import HostClient
from tests.service.lab_client import HOST
from tests.service.lab_footprint import until


@pytest.fixture
async def client() -> AsyncIterator[HostClient]:
    async with HostClient(HOST) as client:
        yield client


async def test_results_events_and_stray_prints_do_not_mix(client):
    events: list[dict] = []
    answers = await asyncio.gather(
        *(client.call("say", {"n": n, "text": "ü\n" * 99}, events.append) for n in range(20))
    )
    assert [a["n"] for a in answers] == list(range(20)) and len(events) == 60
    big = "x" * 3_000_000
    assert (await client.call("say", {"big": big}))["big"] == big


async def test_errors_cross_with_their_kind(client):
    with pytest.raises(BadValue, match=r"users cannot be 0\. It takes 1 to 500"):
        await client.call("refuse")
    with pytest.raises(UnknownName, match="say"):
        await client.call("sya")
    with pytest.raises(NetraError, match="ZeroDivisionError: a fault of its own"):
        await client.call("crash")
    assert await client.call("say") == {}


async def test_a_cancelled_call_is_cancelled_in_the_host(client):
    hanging = asyncio.Event()
    call = asyncio.create_task(client.call("hang", on_event=lambda _: hanging.set()))
    await hanging.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await client.call("whom") == ["hang"]


async def test_every_pending_call_learns_that_the_host_has_gone(client):
    started = asyncio.Event()
    calls = [asyncio.create_task(client.call("hang", on_event=lambda _: started.set())) for _ in range(2)]
    await started.wait()
    os.kill(client.pid, signal.SIGKILL)
    for call in calls:
        with pytest.raises(HostGone, match="SIGKILL"):
            await call
    with pytest.raises(HostGone):
        await client.call("say")
    await client.close()


async def test_a_host_that_cannot_begin_is_told_with_its_last_words():
    async with HostClient((*HOST[:1], "-c", "raise SystemExit('no such thing')")) as client:
        with pytest.raises(HostGone, match="exit code 1; its last words: no such thing"):
            await client.call("say")


async def test_a_client_that_is_closed_or_was_not_started_says_so():
    client = HostClient(HOST)
    with pytest.raises(HostGone, match="not started"):
        await client.call("say")
    await client.close()
    await client.start()
    pid = client.pid
    await client.close()
    await client.close()
    with pytest.raises(HostGone, match="closed"):
        await client.call("say")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, None])
async def test_the_host_ends_in_order_when_asked(how):
    pipe = asyncio.subprocess.PIPE
    host = await asyncio.create_subprocess_exec(*HOST, stdin=pipe, stdout=pipe, stderr=pipe)
    host.stdin.write(b'nonsense\n[]\n{"id": 1, "method": "hang"}\n')
    replies = [json.loads(await host.stdout.readline()) for _ in range(3)]
    assert [r.get("error", {}).get("code") for r in replies] == ["bad_value", "bad_value", None]
    if how is None:
        host.stdin.close()
    else:
        host.send_signal(how)
    rest, errors = await host.communicate()
    assert json.loads(rest) == {"id": 1, "error": {"code": "cancelled", "text": "hang was cancelled."}}
    assert host.returncode == 0 and errors == b""


async def test_a_host_whose_replies_nobody_reads_ends():
    pipe = asyncio.subprocess.PIPE
    read, write = os.pipe()
    host = await asyncio.create_subprocess_exec(*HOST, stdin=pipe, stdout=write, stderr=pipe)
    os.close(write)
    host.stdin.write(b'{"id": 1, "method": "say"}\n')
    await host.stdin.drain()
    await until(lambda: os.read(read, 1))
    os.close(read)
    assert await asyncio.wait_for(host.wait(), 10) == 0
    host.stdin.close()
