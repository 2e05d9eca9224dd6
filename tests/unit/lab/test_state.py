import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from netra_sim.kernel.errors import BadValue, LabError
from netra_sim.lab import state, sysv, tree

WAITS = "import signal; print(flush=True); signal.pause()"
MAKES_MEMORY = f"import ctypes; print(ctypes.CDLL(None).shmget(0, 64, 0o1600), flush=True); {WAITS}"


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen]]:
    started: list[subprocess.Popen] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def run(processes: list[subprocess.Popen], code: str, cwd: Path) -> tuple[subprocess.Popen, str]:
    process = subprocess.Popen([sys.executable, "-c", code], cwd=cwd, stdout=subprocess.PIPE, text=True)
    processes.append(process)
    return process, process.stdout.readline()


def a_dead_pid() -> tuple[int, float]:
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE)
    started = psutil.Process(process.pid).create_time()
    process.kill()
    process.communicate()
    return process.pid, started


def a_lab(base: Path, name: str, note: str | None) -> Path:
    directory = state.home(base) / name
    directory.mkdir(parents=True)
    if note is not None:
        (directory / state.NOTE).write_text(note)
    return directory


def note(pid: int, started: float) -> str:
    return json.dumps({"pid": pid, "started": started, "created": started})


def test_a_directory_is_made_with_its_note_and_removed_with_its_parent(tmp_path):
    place = state.Place(tmp_path)
    assert not list(tmp_path.iterdir())
    place.create()
    told = json.loads((place.path / state.NOTE).read_text())
    assert told["pid"] == os.getpid() and place.path.parent == tmp_path / f"netra-sim-{os.getuid()}"
    assert [p.stat().st_mode & 0o777 for p in (place.path, place.path.parent)] == [0o711, 0o711]
    place.remove()
    place.remove()
    assert not list(tmp_path.iterdir())


def test_a_dead_hosts_lab_is_swept(tmp_path):
    stale = a_lab(tmp_path, "lab-1", note(*a_dead_pid()))
    assert state.sweep(tmp_path) == ["lab-1"]
    assert not stale.exists()


def test_a_lab_whose_pid_is_now_another_process_is_swept(tmp_path):
    a_lab(tmp_path, "lab-1", note(os.getpid(), psutil.Process().create_time() - 100))
    assert state.sweep(tmp_path) == ["lab-1"]


def test_a_live_hosts_lab_is_not_swept(tmp_path):
    by_note = a_lab(tmp_path, "lab-1", note(os.getpid(), psutil.Process().create_time()))
    by_lock = state.Place(tmp_path)
    by_lock.create()
    # Its pid means nothing here when the host is in another container: the lock alone must protect it.
    (by_lock.path / state.NOTE).write_text(note(*a_dead_pid()))
    assert state.sweep(tmp_path) == []
    assert by_note.exists() and by_lock.path.exists()
    by_lock.remove()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}', '{"pid": "x", "started": 1}', None])
def test_what_cannot_be_understood_is_not_touched(tmp_path, text):
    unknown = a_lab(tmp_path, "lab-1", text)
    draft = a_lab(tmp_path, ".new-lab-2", text)
    assert state.sweep(tmp_path) == []
    assert unknown.exists() and draft.exists()


@pytest.mark.parametrize("text", ["", None])
def test_an_old_draft_is_swept(tmp_path, text):
    draft = a_lab(tmp_path, ".new-lab-2", text)
    os.utime(draft, (time.time() - 3600,) * 2)
    assert state.sweep(tmp_path) == [".new-lab-2"]


def test_what_runs_in_a_dead_lab_is_killed_and_its_memory_removed(tmp_path, processes):
    stale = a_lab(tmp_path, "lab-1", note(*a_dead_pid()))
    (stale / "deep").mkdir()
    beside = a_lab(tmp_path, "lab-11", note(os.getpid(), psutil.Process().create_time()))
    inside, shared = run(processes, MAKES_MEMORY, stale / "deep")
    outside, _ = run(processes, WAITS, beside)
    assert state.sweep(tmp_path) == ["lab-1"]
    assert tree.start_time(inside.pid) is None and tree.start_time(outside.pid) is not None
    assert int(shared) not in {s.id for s in sysv.segments()}


@pytest.mark.skipif(sys.platform != "linux", reason="segments are listed in /proc")
@pytest.mark.parametrize("sign", [1, -1])
def test_the_memory_that_a_pid_file_tells_of_is_removed(tmp_path, processes, sign):
    process, shared = run(processes, MAKES_MEMORY, tmp_path)
    process.kill()
    process.wait()
    stale = a_lab(tmp_path, "lab-1", note(*a_dead_pid()))
    data = stale / "postgres" / "data"
    data.mkdir(parents=True)
    pidfile = data / "postmaster.pid"
    pidfile.write_text(f"{sign * process.pid}\n\n\n\n\n\n  7  {shared.strip()}\n")
    assert int(shared) in {s.id for s in sysv.segments()}
    state.clear(stale)
    assert int(shared) not in {s.id for s in sysv.segments()}


@pytest.mark.skipif(sys.platform != "linux", reason="segments are listed in /proc")
def test_a_segment_of_that_number_made_by_someone_else_is_kept(tmp_path, processes):
    _, shared = run(processes, MAKES_MEMORY, tmp_path)
    stale = a_lab(tmp_path, "lab-1", note(*a_dead_pid()))
    data = stale / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "postmaster.pid").write_text(f"{a_dead_pid()[0]}\n\n\n\n\n\n  7  {shared}\n")
    state.clear(stale)
    kept = next(s for s in sysv.segments() if s.id == int(shared))
    sysv.remove(kept)
    sysv.remove(kept)  # one that has gone is fine


def test_a_home_that_others_can_write_is_refused(tmp_path):
    home = state.home(tmp_path)
    home.mkdir()
    home.chmod(0o777)
    with pytest.raises(LabError, match="others can write"):
        state.Place(tmp_path).create()


def test_root_is_told_when_postgres_could_not_enter_the_data_directory(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(BadValue, match="NETRA_DATA_DIR"):
        state.check_base(tmp_path)
    state.check_base(None)
