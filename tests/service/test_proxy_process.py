"""How the proxy process ends: killed, it leaves nobody waiting; asked to, it ends in order."""

import asyncio
import signal

import pytest

from netra_sim.faults.control import FaultControl
from netra_sim.kernel.errors import FaultError
from tests.service.proxying import Upstream, connection, cut, idle, proxy_process, said, toxic_until, within


async def test_a_killed_proxy_leaves_nobody_waiting() -> None:
    with proxy_process() as running:
        async with FaultControl(running.url) as control, Upstream(idle) as upstream:
            at = await control.create_proxy("run/edge", upstream.address)
            await control.add_toxic("run/edge", {"type": "timeout"})
            async with connection(at) as streams:
                theirs, their_writer = await within(upstream.came.get())
                watch = asyncio.ensure_future(control.gone())
                their_writer.write(b"into the void")
                await toxic_until(
                    control, "run/edge", "timeout_downstream", lambda toxic: toxic is not None and toxic["hits"] > 0
                )
                assert not watch.done()
                running.process.kill()
                await cut(streams[0])
                with pytest.raises(FaultError):
                    await within(watch)
                with pytest.raises(FaultError):
                    await within(control.proxies())
                with pytest.raises(FaultError):
                    await within(control.gone())
                await cut(theirs)


async def test_sigterm_ends_it_in_order_though_connections_are_open() -> None:
    with proxy_process() as running:
        async with FaultControl(running.url) as control, Upstream() as upstream:
            at = await control.create_proxy("run/edge", upstream.address)
            async with connection(at) as streams:
                assert await said(streams, b"hello") == b"hello"
                running.process.send_signal(signal.SIGTERM)
                await cut(streams[0])
            assert await asyncio.to_thread(running.process.wait, 2) == 0
