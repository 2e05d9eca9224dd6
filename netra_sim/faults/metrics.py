"""What the proxies have done, in Prometheus's text format (version 0.0.4); Toxiproxy's names where it has them."""

from __future__ import annotations

from collections.abc import Iterable

from netra_sim.faults.proxy import Proxy
from netra_sim.faults.wire.base import STREAMS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[dict[str, str], int]


def exposition(proxies: Iterable[Proxy]) -> str:
    """All metrics of these proxies."""
    every = sorted(proxies, key=lambda proxy: proxy.name)
    traffic = [
        ({"direction": stream, **_labels(proxy)}, proxy.traffic(stream)) for proxy in every for stream in STREAMS
    ]
    hits = [
        ({"proxy": proxy.name, "toxic": toxic.name, "type": toxic.kind.name, "direction": toxic.stream}, toxic.hits)
        for proxy in every for toxic in proxy.toxics
    ]  # fmt: skip
    families = (
        ("proxy_received_bytes_total", "counter", "Bytes that came in.", [(to, bytes_[0]) for to, bytes_ in traffic]),
        ("proxy_sent_bytes_total", "counter", "Bytes handed on.", [(to, bytes_[1]) for to, bytes_ in traffic]),
        ("proxy_connections_total", "counter", "Connections accepted.", [(_labels(p), p.accepted) for p in every]),
        ("proxy_connections_open", "gauge", "Connections open.", [(_labels(p), len(p.connections)) for p in every]),
        ("toxic_hits_total", "counter", "How often a toxic that is set has struck.", hits),
    )
    return "".join(_family(f"toxiproxy_{name}", kind, about, samples) for name, kind, about, samples in families)


def _labels(proxy: Proxy) -> dict[str, str]:
    return {"listener": proxy.listen, "proxy": proxy.name, "upstream": proxy.upstream}


def _family(name: str, kind: str, about: str, samples: list[Sample]) -> str:
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        told = ",".join(f'{label}="{_quoted(text)}"' for label, text in sorted(labels.items()))
        lines.append(f"{name}{{{told}}} {value}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
