"""`python -m netra_sim.lab.clickhouse_server`: the ClickHouse engine (chdb) behind ClickHouse's HTTP protocol.

It is a process of its own, so that it can be killed, paused and cut off. One data directory has one such process.
Protocol: https://clickhouse.com/docs/interfaces/http; compression, sessions and external tables are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from chdb.state.sqlitelike import Connection

THREADS = 8  # queries at once
# HTTP status by the engine's error code; any other is 500.
STATUS = {36: 400, 43: 400, 46: 404, 47: 404, 53: 400, 57: 400, 60: 404, 62: 400, 81: 404, 159: 408}
_CODE = re.compile(rb"Code: (\d+)\.")
_INSERT = re.compile(rb"\s*(INSERT\s+INTO\s.*?\sFORMAT\s+(\w+))\s*?\n", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(r"\sFORMAT\s+\w+\s*;?\s*$", re.IGNORECASE)


class Engine:
    """The engine on one directory; each thread has a connection of its own, and a query that one thread."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._local = str(directory), threading.local()
        self._pool = ThreadPoolExecutor(THREADS, "query")

    async def run(self, database: str, work: Callable[[Connection], bytes]) -> bytes:
        """Do `work` on a connection that is in `database`, without holding up others."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._within, database, work)

    def close(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown(cancel_futures=True)

    def _within(self, database: str, work: Callable[[Connection], bytes]) -> bytes:
        import chdb

        if not hasattr(self._local, "connection"):
            self._local.connection, self._local.database = chdb.connect(self._directory), "default"
            self._local.connection.query("SET max_threads = 1")  # small questions, many at once
        if self._local.database != database:
            self._local.connection.query(f"USE {_quoted(database)}")
            self._local.database = database
        return work(self._local.connection)


def app(engine: Engine) -> Starlette:
    """`/ping`, and queries at `/` by GET or POST."""

    async def ping(_request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def query(request: Request) -> Response:
        given = request.query_params
        body = await request.body()
        database = given.get("database") or "default"
        values = {k.removeprefix("param_"): v for k, v in given.items() if k.startswith("param_")}
        work = _work(given.get("query", "").encode(), body, values)
        try:
            return Response(await engine.run(database, work), media_type="text/plain")
        except RuntimeError as error:  # the engine's own words
            return _failure(str(error))

    return Starlette(routes=[Route("/ping", ping), Route("/", query, methods=["GET", "POST"])])


def _work(query: bytes, body: bytes, values: dict[str, str]) -> Callable[[Connection], bytes]:
    """An insert with its block, or a query: in the URL, in the body, or begun in one and ended in the other."""
    text = query + b"\n" + body if query else body
    if (insert := _INSERT.match(text)) is None:
        sql = text.decode()
        return lambda connection: bytes(connection.query(sql, "TabSeparated", params=values or None).bytes())
    sql, form = insert[1].decode(), insert[2].decode()
    block = text[insert.end() :]

    def store(connection: Connection) -> bytes:
        with connection.send_insert(_FORMAT.sub("", sql), form) as inserter:
            inserter.append(block)
            inserter.finish()
        return b""

    return store


def _failure(told: str) -> Response:
    code = int(found[1]) if (found := _CODE.search(told.encode())) else 0
    headers = {"X-ClickHouse-Exception-Code": str(code)}
    return PlainTextResponse(f"{told.strip()}\n", STATUS.get(code, 500), headers)


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def main(words: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; prints one line of JSON when it is ready."""
    parser = argparse.ArgumentParser(prog="python -m netra_sim.lab.clickhouse_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--data", type=Path, default=Path("data"), help="the data directory")
    given = parser.parse_args(words)
    import uvloop

    uvloop.run(_serve(given.port, given.data))
    return 0


async def _serve(port: int, data: Path) -> None:
    import uvicorn

    engine = Engine(data)
    told = await engine.run("default", lambda c: bytes(c.query("SELECT version()", "TabSeparated").bytes()))
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        config: Any = uvicorn.Config(
            app(engine), http="httptools", ws="none", lifespan="off", access_log=False, log_level="warning",
            timeout_graceful_shutdown=1, timeout_keep_alive=300,
        )  # fmt: skip
        server = uvicorn.Server(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        version = f"ClickHouse {told.decode().strip()} (chdb)"
        print(json.dumps({"ready": True, "port": listener.getsockname()[1], "version": version}), flush=True)
        await server.serve(sockets=[listener])
    engine.close()


if __name__ == "__main__":
    sys.exit(main())
