"""One lab for all service tests that ask for it."""

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.service.starter import Starter
from tests.service.visitor import Deployment, Worker


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab() -> AsyncIterator[Starter]:
    async with Starter() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(lab: Starter) -> AsyncIterator[Deployment]:
    """A namespace of this test module's own."""
    name = f"t{uuid.uuid4().hex[:12]}"
    place = Deployment(lab, await lab.create_database(name), f"{name}:")
    yield place
    await place.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def worker(deployment: Deployment) -> Worker:
    """The worker that most tests of the module talk to."""
    return await deployment.worker()
