"""What `nox -s lab` is to JupyterLab: becomes the program of its arguments, with a keeper of test labs beside it."""

import sys

from netra_sim.lab.keeper import keep
from tests.service.lab_client import HOST

if __name__ == "__main__":
    keep(sys.argv[1:], {}, HOST)
