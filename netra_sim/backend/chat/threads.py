"""HTTP reading of a thread: keyset pages, the owner's only."""

from __future__ import annotations

import uuid

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from netra_sim.backend.errors import PlatformError
from netra_sim.backend.http import bearer
from netra_sim.backend.identity.messages import Authenticate
from netra_sim.backend.store.database import Database

_PAGE = """
SELECT m.n, m.id, m.role, m.text, m.run_id, m.created_at FROM messages m
WHERE m.thread_id = $1 AND m.user_id = $2 AND m.n > $3 ORDER BY m.n LIMIT $4
"""


def routes(database: Database, authenticate: Authenticate) -> list[Route]:
    """GET /threads/{thread_id}/messages?after=<cursor>&limit=<1..1000>."""

    async def messages(request: Request) -> Response:
        who = await authenticate(bearer(request.headers))
        thread = _uuid(request.path_params["thread_id"])
        after, limit = _whole(request, "after", 0, 2**62), _whole(request, "limit", 100, 1000)
        rows = await database.fetch(_PAGE, thread, who.user_id, after, max(limit, 1))
        page = [
            {"message_id": str(r["id"]), "role": r["role"], "text": r["text"], "run_id": str(r["run_id"]),
             "created_at": r["created_at"].isoformat()}
            for r in rows
        ]  # fmt: skip
        more = rows[-1]["n"] if len(rows) == max(limit, 1) else None
        return JSONResponse({"messages": page, "next": more})

    return [Route("/threads/{thread_id}/messages", messages)]


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise PlatformError("bad_request", field="thread_id", detail="thread_id: a UUID") from error


def _whole(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > 19 or int(text) > most:
        raise PlatformError("bad_request", field=name, detail=f"{name}: a whole number from 0 to {most}")
    return int(text)
