"""Opening a socket: with a good token up to the welcome, or with a bad one up to the refusal."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from netra_sim.users import wire
from netra_sim.users.api import Settings
from netra_sim.users.persona import Probe, Via
from netra_sim.users.record import Actor

_AUTHENTICATION = (*wire.REFUSED, wire.POLICY)
_FORBIDDEN = (401, 403)  # where a server refuses the handshake itself


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no connection: `sent` if the server may know of it, `code` a close code or HTTP status."""

    name: str
    message: str
    sent: bool
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Greeting:
    """An open socket and its first message."""

    ws: ClientConnection
    raw: str | bytes


async def dial(settings: Settings, token: str | None, via: Via) -> Greeting | Failure:
    """Connect and wait for the first message, no longer than the user's patience."""
    ws: ClientConnection | None = None
    try:
        async with asyncio.timeout(settings.wait_s):
            ws = await _open(settings, token, via)
            greeting = Greeting(ws, await ws.recv())
            ws = None  # now the caller's
            return greeting
    except InvalidStatus as error:
        status = error.response.status_code
        return Failure(f"http_{status}", str(error), True, status)
    except ConnectionClosed as error:
        return closed(error)
    except TimeoutError:
        return Failure("timeout", "no welcome in time", True)
    except InvalidHandshake as error:
        return Failure("handshake_failed", str(error), True)
    except OSError as error:
        return Failure("not_connected", str(error), False)
    finally:
        if ws is not None:
            ws.transport.abort()


def closed(error: ConnectionClosed) -> Failure:
    """The end of a socket: by the server's close frame, or without one."""
    if error.rcvd is None:
        return Failure("connection_lost", str(error), True)
    return Failure(error.rcvd.reason or f"ws_{error.rcvd.code}", str(error), True, error.rcvd.code)


async def probe(settings: Settings, actor: Actor, token: str, intent: Probe) -> None:
    """Connect with a token that must be refused; `ok` means it was, `fail` that the server let the user in."""
    op = actor.invoke("connect_refused", via=intent.via, token=intent.token, deadline_s=settings.deadline_s)
    told = await dial(settings, None if intent.token == "none" else wire.tampered(token), intent.via)
    if isinstance(told, Greeting):
        told.ws.transport.abort()
        op.fail("let_in", f"the first frame was {wire.parse(told.raw).type}")
    elif told.code in _AUTHENTICATION or told.code in _FORBIDDEN:
        op.ok(close_code=told.code)
    else:
        op.unknown(told.name, told.message)


async def _open(settings: Settings, token: str | None, via: Via) -> ClientConnection:
    beat = settings.heartbeat_s * settings.time_scale
    offered = wire.subprotocols(token) if via == "subprotocol" else []
    return await connect(
        settings.base_url.replace("http", "ws", 1) + "/ws",
        additional_headers=wire.header(token) if via == "header" else {},
        subprotocols=[Subprotocol(name) for name in offered] or None,
        compression=None,
        proxy=None,
        user_agent_header=None,
        max_size=None,
        open_timeout=None,  # the user's patience bounds the whole
        ping_interval=beat or None,
        ping_timeout=beat or None,  # with the wait before the ping, a peer is dead after two missed beats
        close_timeout=max(0.2, settings.time_scale),
    )
