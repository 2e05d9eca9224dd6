from typing import Any

from netra_sim.scenarios.explore.fingerprint import Exchange
from netra_sim.scenarios.explore.record import followers, missed

GET, SET = Exchange("redis", "GET session:*"), Exchange("redis", "SET session:*")


def command(text: str, connection: int, exchange: int) -> tuple[str, dict[str, Any]]:
    facts = {"key": text.split()[1]}
    told = {"stream": "upstream", "type": "command", "text": text, "facts": facts, "bytes": 40}
    return "redis", {**told, "connection": connection, "exchange": exchange}


def reply(size: int, connection: int, exchange: int) -> tuple[str, dict[str, Any]]:
    told = {"stream": "downstream", "type": "reply", "text": "", "facts": {}, "bytes": size}
    return "redis", {**told, "connection": connection, "exchange": exchange}


def test_a_look_in_vain_is_known_by_its_own_reply() -> None:
    messages = [
        command("GET it:session:7", 1, 3),
        command("SET it:session:8", 2, 3),
        reply(40, 2, 3),
        reply(5, 1, 3),  # $-1
        command("GET it:session:7", 1, 4),
        reply(24, 1, 4),
    ]
    assert missed(messages, "it:") == {GET}


def test_what_went_out_before_the_answer_follows() -> None:
    messages = [command("GET it:session:7", 1, 1), command("SET it:session:7", 1, 2), reply(5, 1, 1), reply(5, 1, 2)]
    assert followers(messages, "it:", []) == {SET}
    assert followers([messages[0], messages[2], messages[1]], "it:", []) == set()
