"""Loads at once what a worker loads at its start and at its first requests: for one who forks workers."""

from importlib import import_module
from importlib.util import find_spec

import netra_sim.backend.app
import netra_sim.backend.telemetry.logs  # noqa: F401
from netra_sim.backend.store.columns import CLIENT

# What uvicorn and the parts load by name or when they first need it.
LATER = (
    "uvloop", "uvicorn", "uvicorn.lifespan.off", "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
)  # fmt: skip

for name in LATER:
    import_module(name)
if find_spec(CLIENT):  # an extra
    import_module(f"{CLIENT}.driver.asyncclient")
