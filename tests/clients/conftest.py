"""A proxy process and, in turn, each client of it."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.clients.peers import Node, Peer, Python, node
from tests.service.proxying import ProxyProcess, Upstream, proxy_process


@pytest.fixture(scope="module")
def process() -> Iterator[ProxyProcess]:
    with proxy_process() as running:
        yield running


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def node_client(process: ProxyProcess) -> AsyncIterator[Node]:
    modules = os.environ.get("NETRA_NODE_MODULES")
    if not modules:
        pytest.skip("toxiproxy-node-client is installed by `nox -s clients`")
    async with node(process.url, modules) as client:
        yield client
        await _empty(client)


@pytest.fixture
async def python_client(process: ProxyProcess, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Python]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # requests heeds the machine's proxies
    client = Python(process.port)
    yield client
    await _empty(client)


@pytest.fixture(params=["python", "node"])
def client(request: pytest.FixtureRequest) -> Peer:
    found: Peer = request.getfixturevalue(f"{request.param}_client")
    return found


async def _empty(client: Peer) -> None:
    for name in await client.proxies():
        await client.remove(name)
