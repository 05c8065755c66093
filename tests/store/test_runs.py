"""Checkpoints that are not kept go in one step, whenever the process is killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sever.files import write_json
from sever.models.reports import Position
from sever.store import Run


def test_a_process_that_dies_while_it_deletes_leaves_no_half_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    for epoch in (1, 2):
        write_json(run.epoch_folder(epoch) / "state.json", {"position": vars(Position(epoch=epoch))})
    write_json(run.step_folder(7) / "state.json", {"position": vars(Position(epoch=2, batch=3))})

    def die(folder: Path) -> None:
        (folder / "state.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            run.keep({1, 2})
    assert run.latest() == run.epoch_folder(2)  # and not the step that lost its state
    run.clean()
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["epoch-0001", "epoch-0002"]
