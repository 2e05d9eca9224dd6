"""What the proxy tells of itself: bytes and connections for Prometheus, and which toxic hit which connection."""

import contextlib
from collections.abc import Awaitable, Callable

import httpx

from netra_sim.faults.control import FaultControl
from netra_sim.faults.toxic import MOST_GONE
from tests.service.proxying import ProxyProcess, Upstream, connection, cut, said, within


async def scrape(process: ProxyProcess) -> tuple[dict[str, int], dict[str, str]]:
    """Samples by their name with labels, and the type of each metric."""
    async with httpx.AsyncClient(base_url=process.url, trust_env=False) as http:
        answer = await http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    lines = answer.text.splitlines()
    types = dict(line.split(" ")[2:] for line in lines if line.startswith("# TYPE "))
    samples = {name: int(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}
    return samples, types


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    """A round trip to the proxy is the pace."""

    async def asking() -> None:
        while not await ask():
            pass

    await within(asking())


async def test_bytes_and_connections_are_counted(process: ProxyProcess, control: FaultControl) -> None:
    async with Upstream() as server:
        port = await control.create_proxy('run/"db"', server.address)
        await control.add_toxic('run/"db"', {"type": "limit_data", "attributes": {"bytes": 7}})
        labels = f'listener="127.0.0.1:{port}",proxy="run/\\"db\\"",upstream="{server.address}"'
        async with connection(port) as streams:
            assert await said(streams, b"hello") == b"hello"
            samples, types = await scrape(process)
            assert samples[f"toxiproxy_proxy_connections_open{{{labels}}}"] == 1
            streams[1].write(b"world")
            assert await streams[0].read() == b"wo"

        async def gone() -> bool:
            return (await scrape(process))[0][f"toxiproxy_proxy_connections_open{{{labels}}}"] == 0

        await until(gone)
        async with connection(port) as streams:
            assert await said(streams, b"hi") == b"hi"
            samples, types = await scrape(process)
    assert samples == {
        f'toxiproxy_proxy_received_bytes_total{{direction="upstream",{labels}}}': 12,
        f'toxiproxy_proxy_received_bytes_total{{direction="downstream",{labels}}}': 12,
        f'toxiproxy_proxy_sent_bytes_total{{direction="upstream",{labels}}}': 12,
        f'toxiproxy_proxy_sent_bytes_total{{direction="downstream",{labels}}}': 9,
        f"toxiproxy_proxy_connections_total{{{labels}}}": 2,
        f"toxiproxy_proxy_connections_open{{{labels}}}": 1,
        'toxiproxy_toxic_hits_total{direction="downstream",proxy="run/\\"db\\"",toxic="limit_data_downstream",'
        'type="limit_data"}': 1,
    }
    assert types["toxiproxy_proxy_received_bytes_total"] == types["toxiproxy_proxy_sent_bytes_total"] == "counter"
    assert types["toxiproxy_proxy_connections_open"] == "gauge"


async def test_connections_tell_which_toxic_hit_them(control: FaultControl) -> None:
    async with Upstream() as server:
        port = await control.create_proxy("db", server.address)
        async with connection(port) as first, connection(port) as second:
            assert await said(first, b"1") == await said(first, b"1") == b"1"
            await control.add_toxic("db", {"type": "noop", "name": "down"})
            await control.add_toxic("db", {"type": "noop", "name": "up", "stream": "upstream"})
            for streams, words in ((first, b"one"), (second, b"two"), (second, b"again")):
                assert await said(streams, words) == words
            told = await control.connections("db")
            ends = [writer.get_extra_info("sockname") for _, writer in (first, second)]
            assert [(c["number"], c["client"], c["upstream"]) for c in told] == [
                (at, f"{host}:{port}", server.address) for at, (host, port) in enumerate(ends, 1)
            ]
            assert [[(t["name"], t["type"], t["stream"], t["hits"]) for t in c["toxics"]] for c in told] == [
                [("up", "noop", "upstream", 1), ("down", "noop", "downstream", 1)],
                [("up", "noop", "upstream", 2), ("down", "noop", "downstream", 2)],
            ]
            assert all(0 <= c["age"] < 60 for c in told)  # each is read a moment after the one before
            first[1].close()

            async def forgotten() -> bool:
                return [c["number"] for c in await control.connections("db")] == [2]

            await until(forgotten)
            toxic = await control.toxic("db", "down")
            assert toxic is not None
            assert toxic["hits"] == 3


async def knock(port: int) -> None:
    """Come, and be reset at the door."""
    with contextlib.suppress(ConnectionResetError):
        async with connection(port) as (reader, _):
            await cut(reader)


async def test_hits_on_a_thousand_gone_connections_are_told_and_the_oldest_forgotten(control: FaultControl) -> None:
    async with Upstream() as server:
        port = await control.create_proxy("db", server.address)
        await control.add_toxic("db", {"type": "refuse", "name": "it"})
        for number in range(1, MOST_GONE + 4):
            await knock(port)
            if number in (MOST_GONE, MOST_GONE + 3):
                told = await control.hits("db", "it")
                assert [one["connection"] for one in told] == list(range(number - MOST_GONE + 1, number + 1))
        toxic = await control.toxic("db", "it")
        assert toxic is not None
        assert toxic["hits"] == MOST_GONE + 3  # nothing is taken off the sum
        assert await control.connections("db") == []


async def test_an_open_connection_is_told_however_many_go(control: FaultControl) -> None:
    async with Upstream() as server:
        port = await control.create_proxy("db", server.address)
        async with connection(port) as first:
            await control.add_toxic("db", {"type": "noop", "name": "heard"})
            await control.add_toxic("db", {"type": "refuse", "name": "door"})
            assert await said(first, b"one") == b"one"
            for _ in range(MOST_GONE + 1):
                await knock(port)
            [told] = await control.connections("db")
            assert (told["number"], [t["hits"] for t in told["toxics"]]) == (1, [1])
            assert [one["connection"] for one in await control.hits("db", "heard")] == [1]


async def test_connections_of_nobody(process: ProxyProcess, control: FaultControl) -> None:
    await control.create_proxy("run/db", "127.0.0.1:9")
    assert await control.connections("run/db") == []
    async with httpx.AsyncClient(base_url=process.url, trust_env=False) as http:
        answer = await http.get("/proxies/nobody/connections")
        assert (answer.status_code, answer.json()["error"]) == (404, "proxy not found")
        assert (await http.get("/proxies/run/db/connections")).json() == []
