"""One lab for all service tests that ask for it, and a proxy for a module's."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab, default_children
from netra_sim.users import workload
from tests.service.proxying import ProxyProcess, Upstream, proxy_process
from tests.service.visitor import Deployment, Worker


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab() -> AsyncIterator[Lab]:
    """Stores and the model server; the model's answers take no time, so that only the platform's own time counts."""
    async with Lab(
        settings={}, children=[c for c in default_children(1, 0.0) if c.name in ("llm", "clickhouse")]
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(lab: Lab) -> AsyncIterator[Deployment]:
    """A namespace of this test module's own."""
    name = f"t{uuid.uuid4().hex[:12]}"
    place = Deployment(lab, await lab.create_database(name), await lab.create_logs(name), f"{name}:")
    await workload.prepare(place.logs_url)
    yield place
    await place.stop()
    await lab.drop_namespace(name)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def worker(deployment: Deployment) -> Worker:
    """The worker that most tests of the module talk to."""
    return await deployment.worker()


@pytest.fixture(scope="module")
def process() -> Iterator[ProxyProcess]:
    """A proxy process of the module's own."""
    with proxy_process() as running:
        yield running


@pytest.fixture
async def control(process: ProxyProcess) -> AsyncIterator[FaultControl]:
    """Its control; what a test made is gone afterwards."""
    async with FaultControl(process.url) as client:
        yield client
        for name in await client.proxies():
            await client.delete_proxy(name)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """An echo server."""
    async with Upstream() as server:
        yield server


@pytest.fixture
async def port(control: FaultControl, upstream: Upstream) -> int:
    """Of the proxy `run/edge` in front of an echo."""
    return await control.create_proxy("run/edge", upstream.address)
