import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from netra_sim.kernel.errors import LabError, StartFailed
from netra_sim.lab import tree
from netra_sim.lab.spawn import Command, Process, environment, exit_text, tail
from tests.service.lab_footprint import until

WAITS = "import signal; print('{\"ready\": true}', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"
FAMILY = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {WAITS!r}], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
import signal; print('{{"child": %d}}' % child.pid, flush=True); signal.pause()
"""


def command(folder: Path, code: str, **other) -> Command:
    argv = (sys.executable, "-c", code)
    return Command("part", argv, folder, folder / "part.log", environment({}), announces=True, **other)


async def started(folder: Path, code: str, **other) -> tuple[Process, dict]:
    process = Process(command(folder, code, **other))
    return process, await process.ready(10)


async def test_it_announces_itself_has_its_own_session_and_ends_when_asked(tmp_path):
    process, told = await started(tmp_path, WAITS)
    assert told == {"ready": True} and process.alive
    assert os.getsid(process.pid) == process.pid and Path(psutil.Process(process.pid).cwd()) == tmp_path
    await process.terminate(5)
    assert await process.wait() == -signal.SIGTERM and not process.alive
    await process.terminate(5)
    await process.kill()
    process.resume()


async def test_one_that_does_not_end_when_asked_is_killed(tmp_path):
    process, _ = await started(tmp_path, STUBBORN)
    await process.terminate(0.01)
    assert await process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("how", ["kill", "terminate"])
async def test_its_children_end_with_it_though_in_other_sessions(tmp_path, how):
    process, told = await started(tmp_path, FAMILY)
    assert tree.start_time(told["child"]) is not None
    await (process.kill() if how == "kill" else process.terminate(5))
    assert tree.start_time(told["child"]) is None


@pytest.mark.parametrize("then", ["resume", "kill", "terminate"])
async def test_a_pause_freezes_the_children_too(tmp_path, then):
    process, told = await started(tmp_path, FAMILY)
    await process.pause()
    family = [psutil.Process(pid) for pid in (process.pid, told["child"])]
    assert process.paused and {p.status() for p in family} == {psutil.STATUS_STOPPED}
    if then == "resume":
        process.resume()
        assert not process.paused
        await process.kill()
    else:
        await (process.kill() if then == "kill" else process.terminate(5))
    assert not process.alive and not process.paused and tree.start_time(told["child"]) is None
    with pytest.raises(LabError, match="part cannot be paused"):
        await process.pause()


async def test_one_that_ends_at_once_is_told_with_its_last_words(tmp_path):
    process = Process(command(tmp_path, "import sys; sys.exit('bad: redis://:geheim@h')"))
    with pytest.raises(StartFailed) as caught:
        await process.ready(10)
    assert str(caught.value) == "part did not start: it ended with exit code 1. Its last words: bad: redis://:***@h"


async def test_one_that_stays_silent_is_told(tmp_path):
    process = Process(command(tmp_path, "import signal; signal.pause()"))
    with pytest.raises(StartFailed, match=r"not ready within 0\.01 s.*it wrote nothing"):
        await process.ready(0.01)
    await process.kill()


async def test_stray_prints_go_to_the_log(tmp_path):
    code = "print('before'); print(7); " + WAITS.replace("signal.pause()", "print('after', flush=True); signal.pause()")
    process, told = await started(tmp_path, code)
    assert told == {"ready": True}
    await until(lambda: tail(process.command.log).split() == ["before", "7", "after"])
    await process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="needs the parent-death signal")
async def test_it_dies_with_its_parent(tmp_path):
    code = f"""
import asyncio, sys, os, signal
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from netra_sim.lab.spawn import Command, Process
async def main():
    folder = Path({str(tmp_path)!r})
    argv = (sys.executable, "-c", {STUBBORN!r})
    child = Process(Command("child", argv, folder, folder / "child.log", announces=True))
    await child.ready(10)
    print('{{"child": %d}}' % child.pid, flush=True)
    signal.pause()
asyncio.run(main())
"""
    process, told = await started(tmp_path, code)
    child = tree.watch(told["child"])
    os.kill(process.pid, signal.SIGKILL)
    await asyncio.wait_for(child, 5)
    await process.wait()


async def test_only_the_main_thread_may_start_one(tmp_path):
    async def elsewhere() -> None:
        with pytest.raises(LabError, match="main thread"):
            Process(command(tmp_path, WAITS))

    await asyncio.to_thread(asyncio.run, elsewhere())


async def test_a_zombie_has_ended():
    child = subprocess.Popen([sys.executable, "-c", ""])  # noqa: ASYNC220 - nobody must reap it yet
    await asyncio.wait_for(tree.watch(child.pid), 5)
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE and tree.start_time(child.pid) is None
    child.wait()
    await asyncio.wait_for(tree.watch(child.pid), 5)


async def test_where_the_system_has_no_event_the_end_is_polled(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    process, _ = await started(tmp_path, WAITS)
    await process.kill()
    assert await process.wait() == -signal.SIGKILL


def test_texts(tmp_path):
    assert (exit_text(3), exit_text(-9)) == ("exit code 3", "SIGKILL")
    log = tmp_path / "log"
    assert tail(log) == "(it wrote nothing)"
    log.write_text("".join(f"line {n}\n" for n in range(10_000)))
    assert tail(log, 2) == "line 9998\nline 9999"
