"""The notebook runs from its first cell to its last, on tiny synthetic strip; and it is fit to be looked at."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

import sever

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "severstal.ipynb"
PICTURES = 5
# In place of the notebook's own settings: they come after the cell with the tag `parameters`.
TINY = """
IMAGES, TEST_IMAGES, SIZE = 12, 4, (64, 96)
ENCODER, WEIGHTS = "resnet18", "none"
EPOCHS, CROP, BATCH, WORKERS = 1, (64, 64), 4, 0
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the Jupyter libraries, in this process
def test_the_notebook_runs_to_its_end_and_leaves_a_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (at,) = [at for at, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(TINY))

    resources = {"metadata": {"path": str(tmp_path)}}  # the folder that it works in
    done = NotebookClient(notebook, timeout=1200, kernel_name="python3", resources=resources).execute()

    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output["output_type"] == "error"]
    pictures = [output for output in outputs if {"image/png", "image/jpeg"} & set(output.get("data", {}))]
    assert len(pictures) == PICTURES
    rows = pd.read_csv(tmp_path / "notebook-work" / "out" / "submission.csv")
    assert len(rows) == 4 * 4
    said = "".join(output["text"] for output in outputs if output.get("name") == "stdout")
    assert "'dice_all_empty':" in said


def test_it_uses_nothing_of_sever_but_its_python_api() -> None:
    code = "\n".join("".join(cell["source"]) for cell in nbformat.read(NOTEBOOK, as_version=4).cells)
    assert "import sever" in code
    assert not re.search(r"from sever|import sever\.", code)
    used = set(re.findall(r"\bsever\.([a-z_]+)\(", code))
    assert used >= {"synth", "crossval", "blend", "tune", "predict", "evaluate", "load"}
    assert used <= set(dir(sever))


def test_the_notebook_is_stored_with_its_pictures_and_without_traces_of_a_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 500_000
    cells = json.loads(text)["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert "/home/" not in text
    assert "/tmp/" not in text
    assert [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"] == list(
        range(1, 1 + sum(cell["cell_type"] == "code" for cell in cells))
    )
    pictures = [output["data"] for output in outputs if {"image/png", "image/jpeg"} & set(output.get("data", {}))]
    for data in pictures:
        kind = next(kind for kind in ("image/png", "image/jpeg") if kind in data)
        pixels = np.frombuffer(base64.b64decode(data[kind]), np.uint8)
        assert len(pixels) > 1000
    assert len(pictures) == PICTURES
