"""A lab's last resort: waits for its host to end, however that happens, and removes what is left.

`python -m netra_sim.lab2.warden FOLDER`; standard input is a pipe whose other end only the host holds.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """Block until the pipe closes, then clean up what the host did not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1):
        pass
    folder = Path(sys.argv[1])
    if folder.exists():
        from netra_sim.lab2.state import clean

        clean(folder)


if __name__ == "__main__":
    main()
