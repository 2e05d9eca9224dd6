"""Toxiproxy's control API as its clients know it: status codes, bodies, defaults; and what this proxy adds."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from netra_sim.faults.control import FaultControl
from netra_sim.kernel.errors import FaultError
from tests.service.proxying import ProxyProcess, Upstream, connection, free_port, said

UPSTREAM = "127.0.0.1:9"


@pytest.fixture
async def http(process: ProxyProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=process.url, trust_env=False, timeout=10) as client:
        yield client
        for name in (await client.get("/proxies")).json():
            assert (await client.delete(f"/proxies/{quote(name, safe='')}")).status_code == 204


async def proxy(http: httpx.AsyncClient, name: str = "db", **more: Any) -> dict[str, Any]:
    answer = await http.post("/proxies", json={"name": name, "upstream": UPSTREAM, **more})
    assert answer.status_code == 201
    return dict(answer.json())


def refused(answer: httpx.Response, status: int, text: str) -> None:
    """In Toxiproxy's form: JSON in plain text, with a newline; a text that ends with a colon begins the message."""
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.endswith("}\n")
    told = answer.json()
    assert (answer.status_code, told["status"], set(told)) == (status, status, {"error", "status"})
    assert told["error"].startswith(text) if text.endswith(":") else told["error"] == text


# -- proxies ----------------------------------------------------------------------------------------------------


async def test_a_proxy_is_created_with_defaults(http: httpx.AsyncClient) -> None:
    told = await proxy(http)
    host, _, port = told.pop("listen").rpartition(":")
    assert (host, port.isdigit(), port != "0") == ("127.0.0.1", True, True)
    assert told == {"name": "db", "upstream": UPSTREAM, "enabled": True, "toxics": []}
    assert (await http.get("/proxies")).json()["db"]["name"] == "db"
    assert (await http.get("/proxies/db")).json()["upstream"] == UPSTREAM


@pytest.mark.parametrize("listen", ["localhost:0", "127.0.0.1:0", "", ":0"])
async def test_listen_answers_the_resolved_address(http: httpx.AsyncClient, listen: str) -> None:
    assert (await proxy(http, listen=listen))["listen"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "bad request body:"),
        ("{", "bad request body:"),
        ("[]", "bad request body:"),
        ('{"name": 5, "upstream": "x:1"}', "bad request body:"),
        ('{"name": "db", "upstream": ["x:1"]}', "bad request body:"),
        ('{"name": "db", "upstream": "x:1", "enabled": "yes"}', "bad request body:"),
        ("{}", "missing required field: name"),
        ('{"name": ""}', "missing required field: name"),
        ('{"name": "db"}', "missing required field: upstream"),
    ],
)
async def test_a_bad_proxy_is_refused(http: httpx.AsyncClient, body: str, text: str) -> None:
    refused(await http.post("/proxies", content=body), 400, text)
    assert (await http.get("/proxies")).json() == {}


async def test_a_proxy_that_exists_is_refused(http: httpx.AsyncClient) -> None:
    await proxy(http)
    refused(await http.post("/proxies", json={"name": "db", "upstream": UPSTREAM}), 409, "proxy already exists")


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "127.0.0.1:http", "127.0.0.1:-1"])
async def test_an_address_that_is_none_is_refused(http: httpx.AsyncClient, listen: str) -> None:
    answer = await http.post("/proxies", json={"name": "db", "upstream": UPSTREAM, "listen": listen})
    assert (answer.status_code, answer.json()["status"]) == (500, 500)
    assert (await http.get("/proxies")).json() == {}


async def test_a_taken_port_is_refused_and_nothing_is_left(http: httpx.AsyncClient) -> None:
    async with Upstream() as server:
        body = {"name": "db", "upstream": UPSTREAM, "listen": server.address}
        answer = await http.post("/proxies", json=body)
        assert (answer.status_code, answer.json()["status"]) == (500, 500)
    refused(await http.get("/proxies/db"), 404, "proxy not found")


async def test_what_does_not_exist_is_not_found(http: httpx.AsyncClient) -> None:
    toxic = {"type": "latency"}
    for answer in (
        await http.get("/proxies/db"),
        await http.post("/proxies/db", json={}),
        await http.patch("/proxies/db", json={}),
        await http.delete("/proxies/db"),
        await http.get("/proxies/db/toxics"),
        await http.post("/proxies/db/toxics", json=toxic),
        await http.get("/proxies/db/toxics/it"),
        await http.delete("/proxies/db/toxics/it"),
    ):
        refused(answer, 404, "proxy not found")
    await proxy(http)
    refused(await http.get("/proxies/db/toxics/it"), 404, "toxic not found")
    refused(await http.delete("/proxies/db/toxics/it"), 404, "toxic not found")


async def test_a_disabled_proxy_refuses_and_is_enabled_on_its_port(http: httpx.AsyncClient) -> None:
    async with Upstream() as server:
        listen = (await proxy(http, upstream=server.address, enabled=False))["listen"]
        port = int(listen.rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            async with connection(port):
                pass
        told = (await http.post("/proxies/db", json={"enabled": True})).json()
        assert (told["enabled"], told["listen"]) == (True, listen)
        async with connection(port) as streams:
            assert await said(streams, b"hello") == b"hello"
            assert (await http.patch("/proxies/db", json={"enabled": False})).json()["enabled"] is False
            assert await streams[0].read() == b""


async def test_an_update_moves_a_proxy_and_ignores_its_name(http: httpx.AsyncClient) -> None:
    async with Upstream() as server:
        await proxy(http)
        port = free_port()
        body = {"name": "other", "listen": f"127.0.0.1:{port}", "upstream": server.address}
        told = (await http.post("/proxies/db", json=body)).json()
        assert told == {**body, "name": "db", "enabled": True, "toxics": []}
        async with connection(port) as streams:
            assert await said(streams, b"hello") == b"hello"
            assert (await http.post("/proxies/db", json={"upstream": UPSTREAM})).json()["upstream"] == UPSTREAM
            assert await streams[0].read() == b""
        refused(await http.post("/proxies/db", content="{"), 400, "bad request body:")


# -- toxics -----------------------------------------------------------------------------------------------------


async def test_a_toxic_is_set_with_defaults_and_answered_with_200(http: httpx.AsyncClient) -> None:
    await proxy(http)
    answer = await http.post("/proxies/db/toxics", json={"TYPE": "latency", "Attributes": {"LATENCY": 5, "x": 1}})
    told = {
        "name": "latency_downstream", "type": "latency", "stream": "downstream", "toxicity": 1.0,
        "attributes": {"latency": 5, "jitter": 0}, "hits": 0,
    }  # fmt: skip
    assert (answer.status_code, answer.json()) == (200, told)
    assert (await http.get("/proxies/db/toxics/latency_downstream")).json() == told
    assert (await http.get("/proxies/db")).json()["toxics"] == [told]
    assert (await http.delete("/proxies/db/toxics/latency_downstream")).status_code == 204
    assert (await http.get("/proxies/db/toxics")).json() == []


async def test_null_attributes_are_accepted(http: httpx.AsyncClient) -> None:
    await proxy(http)
    body = {"type": "timeout", "attributes": None, "name": None, "stream": None, "toxicity": None}
    answer = await http.post("/proxies/db/toxics", json=body)
    assert (answer.status_code, answer.json()["name"]) == (200, "timeout_downstream")


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("", 400, "bad request body:"),
        ("{", 400, "bad request body:"),
        ("[]", 400, "bad request body:"),
        ('{"type": 5}', 400, "bad request body:"),
        ('{"type": "latency", "name": 5}', 400, "bad request body:"),
        ('{"type": "latency", "toxicity": "1"}', 400, "bad request body:"),
        ('{"type": "latency", "toxicity": NaN}', 400, "bad request body:"),
        ('{"type": "latency", "lease_ms": true}', 400, "bad request body:"),
        ('{"type": "latency", "seed": 1.5}', 400, "bad request body:"),
        ('{"type": "latency", "lease_ms": 1e999}', 400, "bad request body:"),
        ('{"type": "latency", "attributes": [1]}', 400, "bad request body:"),
        ('{"type": "latency", "attributes": {"latency": 0.5}}', 400, "bad request body:"),
        ('{"type": "latency", "attributes": {"latency": 1000.0}}', 400, "bad request body:"),
        ('{"type": "latency", "attributes": {"latency": "1000"}}', 400, "bad request body:"),
        ('{"type": "latency", "attributes": {"latency": true}}', 400, "bad request body:"),
        (
            '{"type": "gremlin", "stream": "sideways"}',
            400,
            "stream was invalid, can be either upstream or downstream",
        ),
        ('{"type": "gremlin", "name": "there", "attributes": {"latency": 0.5}}', 400, "invalid toxic type"),
        ("{}", 400, "invalid toxic type"),
        ('{"type": "latency", "name": "there", "attributes": {"latency": 0.5}}', 409, "toxic already exists"),
        ('{"type": "timeout", "name": "there", "stream": "upstream"}', 409, "toxic already exists"),
    ],
)
async def test_a_bad_toxic_is_refused_in_toxiproxys_order(
    http: httpx.AsyncClient, body: str, status: int, text: str
) -> None:
    await proxy(http)
    await http.post("/proxies/db/toxics", json={"type": "latency", "name": "there"})
    refused(await http.post("/proxies/db/toxics", content=body), status, text)
    assert len((await http.get("/proxies/db/toxics")).json()) == 1


async def test_toxics_are_told_upstream_first_then_in_the_order_of_the_chain(http: httpx.AsyncClient) -> None:
    await proxy(http)
    for name, stream in (("a", "downstream"), ("b", "upstream"), ("c", "downstream"), ("d", "upstream")):
        await http.post("/proxies/db/toxics", json={"type": "latency", "name": name, "stream": stream})
    assert [toxic["name"] for toxic in (await http.get("/proxies/db/toxics")).json()] == ["b", "d", "a", "c"]
    assert [toxic["name"] for toxic in (await http.get("/proxies/db")).json()["toxics"]] == ["b", "d", "a", "c"]


async def test_reset_enables_all_and_removes_toxics_but_no_proxy(http: httpx.AsyncClient) -> None:
    await proxy(http, "a", enabled=False)
    await proxy(http, "b")
    await http.post("/proxies/b/toxics", json={"type": "down"})
    await http.post("/proxies/b/toxics", json={"type": "latency"})
    assert (await http.post("/reset")).status_code == 204
    told = (await http.get("/proxies")).json()
    assert {name: (each["enabled"], each["toxics"]) for name, each in told.items()} == {
        "a": (True, []),
        "b": (True, []),
    }


# -- names, browsers, version -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run/postgres", "a/toxics", "a/toxics/b", "50% of ä?#", "toxics"])
async def test_names_may_hold_anything_when_quoted(process: ProxyProcess, http: httpx.AsyncClient, name: str) -> None:
    async with FaultControl(process.url) as control:
        await control.create_proxy(name, UPSTREAM)
        assert list(await control.proxies(name)) == [name]
        await control.add_toxic(name, {"type": "latency", "name": f"{name}/it"})
        told = await control.toxic(name, f"{name}/it")
        assert told is not None
        assert told["name"] == f"{name}/it"
        await control.remove_toxic(name, f"{name}/it")
        assert await control.toxic(name, f"{name}/it") is None
        await control.delete_proxy(name)
        assert await control.proxies() == {}
        with pytest.raises(FaultError, match="proxy not found"):
            await control.delete_proxy(name)


async def test_an_unquoted_slash_is_understood(http: httpx.AsyncClient) -> None:
    await proxy(http, "run/db")
    assert (await http.get("/proxies/run/db")).json()["name"] == "run/db"
    assert (await http.post("/proxies/run/db/toxics", json={"type": "latency"})).status_code == 200
    assert (await http.delete("/proxies/run/db/toxics/latency_downstream")).status_code == 204


@pytest.mark.parametrize("route", ["/version", "/proxies", "/nowhere"])
async def test_browsers_are_refused(http: httpx.AsyncClient, route: str) -> None:
    answer = await http.get(route, headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64)"})
    assert (answer.status_code, answer.text.strip()) == (403, "User agent not allowed")


async def test_the_version_and_a_newline(http: httpx.AsyncClient) -> None:
    answer = await http.get("/version")
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert answer.text.endswith("}\n")
    assert set(answer.json()) == {"version"}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_an_update_merges_attributes_and_reads_only_them_and_the_toxicity(
    http: httpx.AsyncClient, method: str
) -> None:
    await http.post("/proxies", json={"name": "db", "upstream": UPSTREAM})
    body = {"name": "it", "type": "latency", "attributes": {"latency": 5, "jitter": 2}}
    told = (await http.post("/proxies/db/toxics", json=body)).json()
    change = {"name": "other", "type": "timeout", "stream": "upstream", "toxicity": 0.5, "attributes": {"LATENCY": 9}}
    answer = await http.request(method, "/proxies/db/toxics/it", json=change)
    assert answer.status_code == 200
    changed = {**told, "toxicity": 0.5, "attributes": {"latency": 9, "jitter": 2}}
    assert answer.json() == changed
    assert (await http.request(method, "/proxies/db/toxics/it", json={"attributes": None})).json() == changed
    bad = {"attributes": {"latency": 0.5}}
    refused(await http.request(method, "/proxies/db/toxics/it", json=bad), 400, "bad request body:")
    refused(await http.request(method, "/proxies/db/toxics/no", json={}), 404, "toxic not found")
    assert (await http.get("/proxies/db/toxics/it")).json() == changed
