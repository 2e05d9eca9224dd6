"""Where a proxy listens, and what it stands in front of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Address:
        """`host:port`; an empty text or host is this machine, an empty port any; ValueError for what is no port."""
        host, _, port = text.strip().rpartition(":")
        if port and not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
            raise ValueError(f"address {text}: invalid port")
        return Address(host.strip("[]") or "127.0.0.1", int(port or 0))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
