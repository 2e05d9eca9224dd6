"""One notebook through papermill, in a process of its own; the verdict is the result file, never the notebook."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from netra_sim.scenarios.parent import when_parent_ends

KEPT = "keep_output"  # the tag of a cell whose output is stored with the notebook, for nbval to compare


def execute(notebook: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Run the notebook in its own folder; a cell that raises (the last does when a verdict is not pass) raises here."""
    import papermill
    from traitlets.config import Config

    # Without a folder of their own, kernels that start together in the same one take the same sockets.
    with tempfile.TemporaryDirectory(prefix="netra-kernel-") as sockets:
        ipc = {"transport": "ipc", "ip": f"{sockets}/ipc"}
        papermill.execute_notebook(
            str(notebook), str(output), parameters, cwd=str(notebook.parent), progress_bar=False, log_output=False,
            kernel_name="python3", start_timeout=120, config=Config(KernelManager=ipc),
        )  # fmt: skip


def store(notebook: Path) -> None:
    """Run the notebook as committed and store it again with the outputs of its kept cells alone."""
    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        ran = Path(folder) / notebook.name
        execute(notebook, ran, {})
        ran_cells = nbformat.read(ran, nbformat.NO_CONVERT).cells
    book = nbformat.read(notebook, nbformat.NO_CONVERT)
    for cell, ran_cell in zip(book.cells, ran_cells, strict=True):
        if cell.cell_type == "code":
            kept = KEPT in cell.metadata.get("tags", [])
            cell.outputs = ran_cell.outputs if kept else []
            cell.execution_count = ran_cell.execution_count if kept else None
    nbformat.write(book, notebook)


def main(words: list[str]) -> int:
    """`execute NOTEBOOK OUTPUT PARAMETERS`; exit code 1 when a cell raised."""
    from papermill.exceptions import PapermillExecutionError

    when_parent_ends(lambda: os._exit(1))  # the kernel follows, and with it the lab
    try:
        execute(Path(words[0]), Path(words[1]), json.loads(words[2]))
    except PapermillExecutionError as error:
        print(f"{error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
