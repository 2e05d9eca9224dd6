"""Ending with one's parent: whoever was started by a process that is killed must not go on by itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import psutil


def when_parent_ends(act: Callable[[], None]) -> None:
    """Call `act`, from a thread, when the process that started this one has ended."""
    parent = psutil.Process(os.getppid())

    def wait() -> None:
        parent.wait()
        act()

    threading.Thread(target=wait, name="parent", daemon=True).start()
