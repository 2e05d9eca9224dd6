"""What the control API makes in one call: lists of proxies, proxies with their toxics; whatever Go's decoder takes."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.service.proxying import ProxyProcess, Upstream, connection, cut, free_port, said

UPSTREAM = "127.0.0.1:9"
LATENCY = {"name": "late", "type": "latency", "attributes": {"latency": 5}}


@pytest.fixture
async def http(process: ProxyProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=process.url, trust_env=False, timeout=10) as client:
        yield client
        for name in (await client.get("/proxies")).json():
            assert (await client.delete(f"/proxies/{quote(name)}")).status_code == 204


def one(name: str, port: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "listen": f"localhost:{port}", "upstream": UPSTREAM, **more}


async def names(http: httpx.AsyncClient) -> list[str]:
    return list((await http.get("/proxies")).json())


async def test_a_list_of_proxies_is_made_in_its_order(http: httpx.AsyncClient) -> None:
    answer = await http.post("/populate", json=[one("b", 0), one("a", 0, enabled=False)])
    assert (answer.status_code, list(answer.json())) == (201, ["proxies"])
    told = answer.json()["proxies"]
    assert [(p["name"], p["enabled"], p["toxics"]) for p in told] == [("b", True, []), ("a", False, [])]
    assert (await http.get("/proxies")).json() == {p["name"]: p for p in told}


@pytest.mark.parametrize("body", ["[]", "null"])
async def test_nothing_is_made_of_nothing(http: httpx.AsyncClient, body: str) -> None:
    answer = await http.post("/populate", content=body)
    assert (answer.status_code, answer.json()) == (201, {"proxies": []})


async def test_a_proxy_that_matches_is_left_with_its_toxics_and_connections(http: httpx.AsyncClient) -> None:
    async with Upstream() as server:
        port = free_port()
        wanted = {"name": "db", "listen": f"localhost:{port}", "upstream": server.address}
        await http.post("/populate", json=[wanted])
        await http.post("/proxies/db/toxics", json=LATENCY)
        async with connection(port) as streams:
            told = (await http.post("/populate", json=[{**wanted, "enabled": False}])).json()["proxies"]
            assert [(p["enabled"], [t["name"] for t in p["toxics"]]) for p in told] == [(True, ["late"])]
            assert await said(streams, b"still here") == b"still here"


async def test_a_proxy_with_other_addresses_is_made_anew_on_the_same_port(http: httpx.AsyncClient) -> None:
    async with Upstream() as server:
        port = free_port()
        await http.post("/proxies", json={**one("db", port), "upstream": server.address, "toxics": [LATENCY]})
        async with connection(port) as streams:
            told = (await http.post("/populate", json=[one("db", port)])).json()["proxies"]
            assert [(p["upstream"], p["listen"], p["toxics"]) for p in told] == [(UPSTREAM, f"127.0.0.1:{port}", [])]
            await cut(streams[0])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{", "bad request body:"),
        ("{}", "bad request body:"),
        ('[{"name": "a", "upstream": "x:1"}, 5]', "bad request body:"),
        ('[{"name": ""}, {"name": "b", "upstream": 5}]', "bad request body:"),
        ('[{"name": "a", "upstream": "x:1"}, {"upstream": "x:1"}]', "missing required field: name at proxy 2"),
        ('[{"name": "a"}]', "missing required field: upstream at proxy 1"),
        ("[null]", "missing required field: name at proxy 1"),
        (
            '[{"name": "a", "upstream": "x:1", "toxics": [{"type": "gremlin"}]}]',
            "invalid toxic type at proxy 1",
        ),
    ],
)
async def test_a_bad_list_makes_nothing(http: httpx.AsyncClient, body: str, text: str) -> None:
    answer = await http.post("/populate", content=body)
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert (answer.status_code, told["status"], told["proxies"]) == (400, 400, [])
    assert told["error"].startswith(text) if text.endswith(":") else told["error"] == text
    assert await names(http) == []


async def test_a_list_that_fails_midway_tells_what_was_made_so_far(http: httpx.AsyncClient) -> None:
    async with Upstream() as server:
        taken = int(server.address.rpartition(":")[2])
        answer = await http.post("/populate", json=[one("a", 0), one("b", taken), one("c", 0)])
        told = answer.json()
    assert (answer.status_code, told["status"], list(told)) == (500, 500, ["error", "status", "proxies"])
    assert [proxy["name"] for proxy in told["proxies"]] == ["a"]
    assert "in use" in told["error"]
    assert await names(http) == ["a"]


async def test_a_proxy_that_cannot_be_made_anew_stands_disabled(http: httpx.AsyncClient) -> None:
    async with Upstream() as server:
        port = free_port()
        await http.post("/proxies", json=one("db", port))
        taken = int(server.address.rpartition(":")[2])
        assert (await http.post("/populate", json=[one("db", taken)])).status_code == 500
        told = (await http.get("/proxies/db")).json()
        assert (told["enabled"], told["listen"]) == (False, f"127.0.0.1:{port}")
        assert (await http.patch("/proxies/db", json={"enabled": True})).json()["enabled"] is True


async def test_a_proxy_and_its_toxics_are_made_together(http: httpx.AsyncClient) -> None:
    body = one("db", 0, toxics=[LATENCY, {"type": "timeout", "stream": "upstream"}])
    answer = await http.post("/proxies", json=body)
    assert answer.status_code == 201
    assert [(t["name"], t["attributes"]) for t in answer.json()["toxics"]] == [
        ("timeout_upstream", {"timeout": 0}),
        ("late", {"latency": 5, "jitter": 0}),
    ]
    again = [{**answer.json(), "name": "copy", "listen": ""}]  # what is told can be asked for
    assert (await http.post("/populate", json=again)).json()["proxies"][0]["toxics"] == answer.json()["toxics"]


async def test_the_first_connection_has_the_toxics(http: httpx.AsyncClient) -> None:
    async with Upstream() as server:
        limit = {"type": "limit_data", "attributes": {"bytes": 5}}
        body = {"name": "db", "upstream": server.address, "toxics": [limit]}
        port = int((await http.post("/proxies", json=body)).json()["listen"].rpartition(":")[2])
        async with connection(port) as (reader, writer):
            writer.write(b"hello world")
            assert await reader.read() == b"hello"


@pytest.mark.parametrize(
    ("toxics", "status"),
    [
        ([{"type": "gremlin"}], 400),
        ([LATENCY, {"type": "latency", "stream": "sideways"}], 400),
        ([LATENCY, {"type": "timeout", "attributes": {"timeout": 0.5}}], 400),
        ([LATENCY, {**LATENCY, "type": "timeout"}], 409),
        ({"type": "latency"}, 400),
        (["latency"], 400),
    ],
)
async def test_a_bad_toxic_makes_no_proxy(http: httpx.AsyncClient, toxics: Any, status: int) -> None:
    port = free_port()
    answer = await http.post("/proxies", json=one("db", port, toxics=toxics))
    assert (answer.status_code, await names(http)) == (status, [])
    assert (await http.post("/proxies", json=one("db", port, toxics=None))).status_code == 201


async def test_a_toxic_with_a_lease_that_came_with_its_proxy_goes_with_the_lease(http: httpx.AsyncClient) -> None:
    down = {"type": "down", "lease_ms": 1}
    await http.post("/proxies", json=one("db", 0, toxics=[down]))
    while (await http.get("/proxies/db/toxics")).json():
        pass


async def test_only_the_first_value_of_a_body_is_read(http: httpx.AsyncClient) -> None:
    body = " \n" + json.dumps(one("db", 0)) + "} and what not"
    assert (await http.post("/proxies", content=body)).status_code == 201
    assert (await http.post("/proxies/db", content="null")).json()["enabled"] is True


async def test_a_body_that_is_too_deep_is_a_bad_one(http: httpx.AsyncClient) -> None:
    answer = await http.post("/proxies", content="[" * 200_000)
    assert (answer.status_code, answer.json()["error"].startswith("bad request body: ")) == (400, True)


async def test_half_a_character_in_a_name_spoils_no_list(http: httpx.AsyncClient) -> None:
    body = rb'{"name": "\ud800", "upstream": "x:1"}'
    assert (await http.post("/proxies", content=body)).status_code == 201
    assert await names(http) == ["?"]


async def test_an_update_that_names_the_same_address_drops_nobody(http: httpx.AsyncClient) -> None:
    async with Upstream() as server:
        port = free_port()
        await http.post("/proxies", json={**one("db", port), "upstream": server.address})
        async with connection(port) as streams:
            body = {"name": "db", "listen": f"localhost:{port}", "upstream": server.address, "enabled": True}
            assert (await http.post("/proxies/db", json=body)).status_code == 200
            assert await said(streams, b"still here") == b"still here"


CUT = {"name": "cut", "type": "cut", "attributes": {"match": {"nth": 7}}}


async def test_a_listed_proxy_of_the_same_protocol_is_left_as_it_is(http: httpx.AsyncClient) -> None:
    wanted = [one("db", free_port(), protocol="postgres")]
    made = (await http.post("/populate", json=[{**wanted[0], "toxics": [CUT]}])).json()["proxies"]
    assert [(p["protocol"], [t["name"] for t in p["toxics"]]) for p in made] == [("postgres", ["cut"])]
    assert (await http.post("/populate", json=wanted)).json()["proxies"] == made


@pytest.mark.parametrize(("before", "after"), [("postgres", "redis"), ("postgres", ""), ("", "postgres")])
async def test_a_listed_proxy_of_another_protocol_is_made_anew(
    http: httpx.AsyncClient, before: str, after: str
) -> None:
    async with Upstream() as server:
        wanted = {"name": "db", "listen": f"localhost:{free_port()}", "upstream": server.address}
        made = (await http.post("/proxies", json={**wanted, "protocol": before, "toxics": [LATENCY]})).json()
        async with connection(int(made["listen"].rpartition(":")[2])) as streams:
            assert await said(streams, b"X") == b"X"
            [told] = (await http.post("/populate", json=[{**wanted, "protocol": after}])).json()["proxies"]
            await cut(streams[0])
    assert (told.get("protocol", ""), told["listen"], told["toxics"]) == (after, made["listen"], [])
    answer = await http.post("/proxies/db/toxics", json=CUT)
    assert answer.status_code == (200 if after else 400)


@pytest.mark.parametrize(("protocol", "text"), [("smtp", "protocol cannot be 'smtp'"), (5, "protocol: not a string")])
async def test_a_protocol_that_is_none_is_refused_everywhere(http: httpx.AsyncClient, protocol: Any, text: str) -> None:
    told = (await http.post("/proxies", json=one("db", 0, protocol="redis"))).json()
    wrong = one("new", 0, protocol=protocol)
    for answer in (
        await http.post("/proxies", json=wrong),
        await http.post("/populate", json=[one("db", 0), wrong]),
        await http.post("/proxies/db", json={"protocol": protocol, "enabled": False}),
        await http.patch("/proxies/db", json={"protocol": protocol, "enabled": False}),
    ):
        assert (answer.status_code, text in answer.json()["error"]) == (400, True)
        assert protocol == 5 or "It takes postgres, redis, http or none" in answer.json()["error"]
    assert (await http.get("/proxies")).json() == {"db": told}


async def test_an_update_may_name_the_protocol_but_not_change_it(http: httpx.AsyncClient) -> None:
    told = (await http.post("/proxies", json=one("db", 0, protocol="redis"))).json()
    refused = await http.post("/proxies/db", json={"protocol": "http", "enabled": False})
    assert (refused.status_code, refused.json()["error"][:30]) == (400, "protocol: it cannot be changed")
    assert (await http.get("/proxies/db")).json() == told
    for same in ("redis", "", None):
        body = {"protocol": same, "upstream": UPSTREAM}
        assert (await http.patch("/proxies/db", json=body)).json() == told


async def test_a_listed_fault_on_messages_needs_the_protocol_of_its_proxy(http: httpx.AsyncClient) -> None:
    error = {"type": "pg_error"}
    answer = await http.post("/populate", json=[one("a", 0), one("b", 0, protocol="redis", toxics=[error])])
    assert (answer.status_code, answer.json()["proxies"], await names(http)) == (400, [], [])
    text = "type: pg_error needs a proxy created with the protocol postgres; this one has redis at proxy 2"
    assert answer.json()["error"] == text


async def test_an_update_that_cannot_listen_disables(http: httpx.AsyncClient) -> None:
    async with Upstream() as server:
        taken = server.address
        await http.post("/proxies", json=one("db", 0))
        assert (await http.patch("/proxies/db", json={"listen": taken})).status_code == 500
        assert (await http.get("/proxies/db")).json()["enabled"] is False
    told = (await http.patch("/proxies/db", json={"enabled": True})).json()
    assert (told["listen"], told["enabled"]) == (taken, True)


async def test_an_update_to_what_is_no_address_changes_nothing(http: httpx.AsyncClient) -> None:
    told = (await http.post("/proxies", json=one("db", 0))).json()
    for change in ({"upstream": "x:y"}, {"listen": "localhost:y"}, {"listen": "no such host:1"}):
        assert (await http.patch("/proxies/db", json={**change, "enabled": False})).status_code == 500
    assert (await http.get("/proxies/db")).json() == told


async def test_chaostoolkits_requests_are_understood(http: httpx.AsyncClient) -> None:
    body = {"name": "db", "listen": "0.0.0.0:0", "upstream": "localhost:9", "enabled": True}
    told = (await http.post("/proxies", json=body)).json()
    assert told["listen"].split(":")[-1].isdigit()
    toxic = {"name": "t", "type": "timeout", "stream": "downstream", "toxicity": 1.0, "attributes": None}
    assert (await http.post("/proxies/db/toxics", json=toxic)).json()["name"] == "t"
    assert (await http.post("/proxies/db", json={"enabled": False})).json()["listen"] == told["listen"]
    assert (await http.delete("/proxies/db/toxics/t")).is_success
    assert (await http.post("/reset")).is_success


async def test_the_go_clients_updates_are_understood(http: httpx.AsyncClient) -> None:
    body = {"name": "db", "listen": "localhost:0", "upstream": UPSTREAM, "enabled": True, "toxics": None}
    told = (await http.post("/proxies", json=body)).json()
    assert (await http.post("/proxies/db", json={**told, "enabled": False})).json() == {**told, "enabled": False}
    toxic = {"name": "", "type": "latency", "toxicity": 1, "attributes": {"latency": 5}}
    assert (await http.post("/proxies/db/toxics", json=toxic)).json()["name"] == "latency_downstream"
    change = {"attributes": {"latency": 7}, "toxicity": 0.5}
    changed = (await http.patch("/proxies/db/toxics/latency_downstream", json=change)).json()
    assert (changed["attributes"], changed["toxicity"]) == ({"latency": 7, "jitter": 0}, 0.5)
