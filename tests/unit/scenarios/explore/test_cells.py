from netra_sim.faults import kinds
from netra_sim.scenarios.explore.cells import Cell, applicable, cells
from netra_sim.scenarios.explore.fingerprint import Exchange
from netra_sim.scenarios.explore.inject import toxic

COMMIT, SELECT = Exchange("postgres", "COMMIT"), Exchange("postgres", "SELECT a FROM b")
EVERY = (
    COMMIT, SELECT, Exchange("redis", "GET session:*"), Exchange("redis", "XADD stream:*"),
    Exchange("edge", "POST /auth/login"), Exchange("edge", "> resume"), Exchange("edge", "< message_accepted"),
    Exchange("llm", "~ event"), Exchange("llm", "POST /v1/chat/completions"),
)  # fmt: skip


def faults(found: list[Exchange], exchange: Exchange, *followers: Exchange) -> set[str]:
    chosen = cells(found, frozenset(followers)).chosen
    return {cell.fault for cell in chosen if cell.exchange == exchange}


def test_a_write_is_failed_in_every_way() -> None:
    assert faults([COMMIT], COMMIT) == {"refuse", "error", "cut_before", "cut_after", "stall"}


def test_losing_a_reading_and_losing_its_answer_are_the_same() -> None:
    assert "cut_before" not in faults([SELECT], SELECT)
    assert "cut_after" in faults([SELECT], SELECT)


def test_a_refusal_lasts_so_the_second_of_a_name_is_not_refused_alone() -> None:
    second = Exchange("postgres", "COMMIT", 2)
    assert "refuse" not in faults([COMMIT, second], second)
    assert "cut_after" in faults([COMMIT, second], second)


def test_first_middle_and_last_stand_for_many() -> None:
    many = [Exchange("postgres", "COMMIT", n) for n in range(1, 10)]
    assert sorted({cell.exchange.nth for cell in cells(many).chosen}) == [1, 5, 9]


def test_what_was_sent_together_shares_the_fate_of_its_connection() -> None:
    first, second = Exchange("redis", "XADD stream:*"), Exchange("redis", "PUBLISH events")
    assert faults([first, second], second, second) == {"error"}


def test_what_is_not_there_is_not_corrupted() -> None:
    first, second = Exchange("redis", "GET session:*"), Exchange("redis", "GET session:*", 2)
    found = cells([first, second], missed=frozenset([first]))
    assert [cell.exchange for cell in found.chosen if cell.fault == "corrupt"] == [second]
    assert found.merged["empty"] == 1


def test_only_what_has_a_checksum_or_a_schema_is_corrupted() -> None:
    corrupted = [exchange.fingerprint for exchange in EVERY if "corrupt" in applicable(exchange)]
    assert corrupted == ["GET session:*", "~ event"]


def test_no_cell_is_lost_without_a_rule() -> None:
    many = [Exchange("postgres", "SELECT a", n) for n in range(1, 8)]
    found = cells(many)
    assert len(found.chosen) + sum(found.merged.values()) == sum(len(applicable(exchange)) for exchange in many)


def test_every_cell_is_a_toxic_that_the_proxy_takes() -> None:
    for exchange in EVERY:
        for fault in applicable(exchange):
            asked = toxic(Cell(exchange, fault), "it")
            kind = kinds.make(asked["type"], asked["attributes"])
            assert kinds.attributes(kind)["match"].get("nth") == (None if fault == "refuse" else 1)
