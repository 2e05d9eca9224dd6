import asyncio

from hypothesis import given
from hypothesis import strategies as st

from netra_sim.scenarios.explore.shrink import shrink

PLANS = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        st.just(tuple(range(size))),
        st.lists(st.sets(st.integers(0, size - 1), min_size=1, max_size=4), min_size=1, max_size=3),
    )
)


@given(PLANS)
def test_the_result_violates_and_no_step_of_it_can_be_left_out(drawn: tuple[tuple[int, ...], list[set[int]]]) -> None:
    plan, causes = drawn
    asked: list[tuple[int, ...]] = []

    async def violates(part: tuple[int, ...]) -> bool:
        asked.append(part)
        return any(cause <= set(part) for cause in causes)

    found = asyncio.run(shrink(plan, violates))
    assert any(cause <= set(found) for cause in causes)
    for left_out in found:
        rest = set(found) - {left_out}
        assert not any(cause <= rest for cause in causes)
    assert list(found) == sorted(found)
    assert len(asked) == len(set(asked))
    assert () not in asked


@given(st.sets(st.integers(0, 9), min_size=1), st.integers(0, 1 << 30))
def test_also_where_violation_is_not_monotone(cause: set[int], odd: int) -> None:
    """Faults may mask each other: what matters is that no single step can be left out of the result."""

    def bad(part: tuple[int, ...]) -> bool:
        return cause <= set(part) and (set(part) == cause or len(part) == 10 or hash((odd, part)) % 2 == 0)

    async def violates(part: tuple[int, ...]) -> bool:
        return bad(part)

    found = asyncio.run(shrink(tuple(range(10)), violates))
    assert bad(found)
    for left_out in found:
        rest = tuple(step for step in found if step != left_out)
        assert not rest or not bad(rest)
