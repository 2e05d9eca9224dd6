"""How the proxy process ends: killed, it leaves nobody waiting; asked to, it ends in order."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from netra_sim.faults.control import FaultControl
from netra_sim.kernel.errors import FaultError
from tests.service.proxying import (
    PATIENCE,
    Upstream,
    connection,
    cut,
    free_port,
    idle,
    proxy_process,
    said,
    toxic_until,
    within,
)


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


def by_hand(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "netra_sim", "faults", "serve", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def refused(*words: str) -> str:
    """What it says when it does not begin."""
    with by_hand(*words) as process:
        out, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    return error


@pytest.mark.parametrize("dash", ["-", "--"])
async def test_it_serves_the_proxies_of_a_file_until_ctrl_c(tmp_path: Path, dash: str) -> None:
    async with Upstream() as upstream:
        config, port = tmp_path / "toxiproxy.json", free_port()
        limit = {"type": "limit_data", "attributes": {"bytes": 5}}
        proxy = {"name": "db", "listen": f"localhost:{port}", "upstream": upstream.address, "toxics": [limit]}
        config.write_text(json.dumps([proxy]))
        words = (f"{dash}host", "127.0.0.1", f"{dash}port", "0", f"{dash}config", str(config), f"{dash}seed", "5")
        with by_hand(*words) as process:
            assert process.stdout is not None
            ready = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert ready is not None
            async with FaultControl(ready[0]) as control, connection(port) as (reader, writer):
                assert list(await control.proxies()) == ["db"]
                writer.write(b"hello world")
                assert await reader.read() == b"hello"
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, error) == (0, "", "")


def test_it_says_which_port_is_taken_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = refused("--port", str(port))
    assert f"localhost:{port}: Address already in use" in said
    assert "--port" in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("{", "cannot be made: bad request body"),
        ('[{"name": "db"}]', "cannot be made: missing required field: upstream at proxy 1"),
    ],
)
def test_it_says_what_is_wrong_with_its_file(tmp_path: Path, content: str | None, words: str) -> None:
    config = tmp_path / "toxiproxy.json"
    if content is not None:
        config.write_text(content)
    told = refused("--port", "0", "--config", str(config))
    assert f"{config} {words}" in told
