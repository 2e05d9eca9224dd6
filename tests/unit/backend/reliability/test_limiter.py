import pytest

from netra_sim.backend.reliability.limiter import Limiter


class Counter:
    """What a limiter needs of Redis, answering what a test tells it."""

    def __init__(self, answer: tuple[int, float] | None) -> None:
        self.answer, self.asked = answer, []

    async def count_in_window(self, key: str, seconds: float) -> tuple[int, float] | None:
        self.asked.append((key, seconds))
        return self.answer


@pytest.mark.parametrize(
    ("answer", "wait"), [((1, 60.0), 0.0), ((10, 3.0), 0.0), ((11, 3.0), 3.0), ((99, 0.5), 0.5), (None, 0.0)]
)
async def test_the_one_beyond_the_limit_waits_for_the_window_to_end(answer: tuple[int, float] | None, wait: float):
    counter = Counter(answer)
    assert await Limiter(counter, 0.1).wait("u", 10) == wait  # type: ignore[arg-type]
    assert counter.asked == [("sends:u", 6.0)]
