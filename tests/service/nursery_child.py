"""A program for the nursery: announces all that it was given, then ends as told or waits for a signal."""

import gc
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path

FACTS = {
    "name": __name__,
    "arguments": sys.argv[1:],
    "program": sys.argv[0],
    "path": sys.path,
    "environment": dict(os.environ),
    "directory": str(Path.cwd()),
    "leads": os.getsid(0) == os.getpid() == os.getpgid(0),
    "descriptors": {fd: os.readlink(f"/proc/self/fd/{fd}").split(":")[0] for fd in ("0", "1", "2")},
    "number of descriptors": len(list(Path("/proc/self/fd").iterdir())),
    "handlers": {number.name: str(signal.getsignal(number)).split(" at ")[0] for number in signal.Signals},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
    "umask": os.umask(0o022),
    "collects": gc.isenabled(),
    "threads": threading.active_count(),
}

if __name__ == "__main__":
    print(json.dumps(FACTS), flush=True)
    print("a word to stderr", file=sys.stderr, flush=True)
    if sys.argv[1:]:
        sys.exit(int(sys.argv[1]))
    signal.pause()
