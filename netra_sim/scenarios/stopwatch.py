"""How long a run took, without what it waited for its turns."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Iterator


class Stopwatch:
    """Seconds in which at least one trial was under way."""

    def __init__(self) -> None:
        self.started = datetime.datetime.now(datetime.UTC)
        self.seconds = 0.0
        self._under_way, self._since = 0, 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """A trial is under way."""
        if self._under_way == 0:
            self._since = time.monotonic()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self.seconds += time.monotonic() - self._since
