"""A real process and its children, which say what they can still open and hold."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from netra_sim.kernel.errors import LabError
from netra_sim.lab import limits
from netra_sim.lab.limits import Limits

pytestmark = pytest.mark.skipif(not limits.possible(), reason="only Linux limits what runs")
PROGRAM = """
import subprocess, sys
opened, kept = [], []
for line in sys.stdin:
    match line.strip():
        case "open":
            try:
                opened.append(open("/dev/null"))
                print("opened", flush=True)
            except OSError as error:
                print(error.strerror, flush=True)
        case "hold":
            try:
                kept.append(bytearray(64 << 20))
                print("held", flush=True)
            except MemoryError:
                print("MemoryError", flush=True)
        case "close":
            opened.pop(0).close()
            print("closed", flush=True)
        case "child":
            child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
            opened.append(child.stdin)
            print(child.pid, flush=True)
"""


class Server:
    """The process."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", PROGRAM]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.ask("open")  # it has come up

    def ask(self, what: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    for process in [*psutil.Process(running.pid).children(recursive=True), running.process]:
        process.kill()
    running.process.communicate()


def pairs(pid: int) -> list[Any]:
    process = psutil.Process(pid)
    return [process.rlimit(number) for number in (psutil.RLIMIT_NOFILE, psutil.RLIMIT_AS)]


def test_so_many_more_files_and_not_one_more(server: Server) -> None:
    before, kept = pairs(server.pid), Limits()
    assert [server.ask(word) for word in ("open", "open", "close")] == ["opened", "opened", "closed"]  # a hole
    kept.lower(server.pid, "files", 3)
    assert [server.ask("open") for _ in range(4)] == ["opened"] * 3 + ["Too many open files"]
    assert kept.left(server.pid) == ["files"]
    kept.restore(server.pid, "files")
    assert server.ask("open") == "opened"
    assert (kept.left(server.pid), pairs(server.pid)) == ([], before)


def test_so_much_more_memory_and_not_twice_that(server: Server) -> None:
    before, kept = pairs(server.pid), Limits()
    kept.lower(server.pid, "memory", 80)
    assert [server.ask("hold"), server.ask("hold")] == ["held", "MemoryError"]
    kept.lower(server.pid, "memory", 0)  # once more, in force already: what it had at first stays known
    assert server.ask("hold") == "MemoryError"
    kept.restore(server.pid, "memory")
    assert server.ask("hold") == "held"
    assert (kept.left(server.pid), pairs(server.pid)) == ([], before)


def test_children_are_limited_too_and_those_born_meanwhile_get_it_back(server: Server) -> None:
    before, kept = pairs(server.pid), Limits()
    elder = int(server.ask("child"))
    kept.lower(server.pid, "files", 20)
    younger = int(server.ask("child"))
    family = (server.pid, elder, younger)
    assert all(pairs(pid)[0] != before[0] for pid in family)
    kept.restore(server.pid, "files")
    assert [pairs(pid) for pid in family] == [before] * 3
    assert kept.left(server.pid) == []


def test_it_is_never_raised(server: Server) -> None:
    psutil.Process(server.pid).rlimit(psutil.RLIMIT_NOFILE, (64, pairs(server.pid)[0][1]))
    before, kept = pairs(server.pid), Limits()
    kept.lower(server.pid, "files", 100_000)
    assert pairs(server.pid) == before


def test_a_limit_that_came_back_by_itself_or_not_at_all_is_seen(server: Server) -> None:
    before, kept = pairs(server.pid), Limits()
    kept.lower(server.pid, "files", 5)
    psutil.Process(server.pid).rlimit(psutil.RLIMIT_NOFILE, before[0])
    assert kept.left(server.pid) == []
    psutil.Process(server.pid).rlimit(psutil.RLIMIT_NOFILE, (50, before[0][1]))
    assert kept.left(server.pid) == ["files"]


def test_of_another_process_nothing_is_owed(server: Server) -> None:
    kept, other = Limits(), Server()
    before = pairs(other.pid)
    kept.lower(server.pid, "files", 5)
    kept.restore(other.pid, "files")
    assert (kept.left(other.pid), pairs(other.pid)) == ([], before)
    other.process.kill()
    other.process.communicate()
    kept.lower(other.pid, "files", 5)  # it has gone: nothing to do


def test_what_cannot_be_limited_is_told() -> None:
    with pytest.raises(LabError, match="colour"):
        Limits().lower(1, "colour", 5)
