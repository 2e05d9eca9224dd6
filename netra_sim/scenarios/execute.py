"""One notebook through papermill, in a process of its own; the verdict is the result file, never the notebook."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def execute(notebook: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Run the notebook in its own folder; a cell that raises (the last does when a verdict is not pass) raises here."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            str(notebook), str(output), parameters, cwd=str(notebook.parent), progress_bar=False, log_output=False,
            kernel_name="python3", start_timeout=120,
        )  # fmt: skip
    except PapermillExecutionError as error:
        print(f"{error.ename}: {error.evalue}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    execute(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
