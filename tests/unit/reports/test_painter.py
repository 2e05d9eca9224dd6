"""Pages drawn beside the sweep: they are there when it ends, and one that cannot be drawn is told."""

import json

import pytest
from jinja2 import UndefinedError

from netra_sim.reports.painter import Painter
from tests.unit.reports import sample


def test_pages_are_there_when_the_block_ends(tmp_path):
    folder = sample.write_run(tmp_path / "runs", sample.result(), users=2, notebook=False)
    other = sample.write_run(tmp_path / "runs", sample.failing(), users=2, notebook=False)
    with Painter(tmp_path / "runs", tmp_path / "reports") as painter:
        painter.draw(folder)
    (page,) = (tmp_path / "reports").iterdir()
    assert sample.result()["title"] in page.read_text()
    assert other.exists()


def test_a_page_that_cannot_be_drawn_is_told(tmp_path):
    folder = sample.write_run(tmp_path / "runs", sample.result(), users=2, notebook=False)
    data = json.loads((folder / "result.json").read_text())
    del data["checks"]
    (folder / "result.json").write_text(json.dumps(data))
    with pytest.raises(UndefinedError), Painter(tmp_path / "runs", tmp_path / "reports") as painter:
        painter.draw(folder)
