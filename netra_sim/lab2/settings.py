"""Which server to use: embedded, a program on PATH, or one given by URL."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from netra_sim.kernel.errors import BadValue, PortTaken

SCHEMES = {"postgres": ("postgresql", "postgres"), "redis": ("redis",), "llm": ("http", "https")}


@dataclass(frozen=True)
class Choice:
    """One service's setting: `kind` is embedded, path or url; `port` is 0 unless one is asked for."""

    service: str
    kind: str
    url: str = ""
    port: int = 0

    @property
    def setting(self) -> str:
        """The environment variable that decides."""
        return f"NETRA_{self.service.upper()}"


def choice(service: str, environment: Mapping[str, str] = os.environ) -> Choice:
    """The service's setting; BadValue or PortTaken when it cannot be used, before anything is started."""
    name = f"NETRA_{service.upper()}"
    text = environment.get(name, "embedded")
    port = _port(service, environment.get(f"{name}_PORT", "0"))
    if text == "embedded" or (text == "path" and service != "llm"):
        return Choice(service, text, port=port)
    parts = urlsplit(text)
    if parts.scheme not in SCHEMES[service] or not parts.hostname:
        allowed = (
            f"`embedded`{'' if service == 'llm' else ', `path`'} or a URL that begins with {SCHEMES[service][0]}://"
        )
        raise BadValue(field=name, value=without_password(text), allowed=allowed)
    return Choice(service, "url", url=text)


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))


def address(url: str, default_port: int) -> str:
    """host:port of a URL."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or default_port}"


def free_port() -> int:
    """A port that was free a moment ago; whoever takes it must be ready to try another."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _port(service: str, text: str) -> int:
    name = f"NETRA_{service.upper()}_PORT"
    if not text.isdecimal() or int(text) > 65535:
        raise BadValue(field=name, value=text, allowed="a port from 1 to 65535")
    if port := int(text):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            raise PortTaken(port=port, service=service, setting=name) from error
    return port
