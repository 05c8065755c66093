"""Files of weights that are damaged anywhere: one sentence that names the file, never another error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sever.errors import InputError
from sever.models.pretrained import read_weights

WEIGHTS = {f"layer{index}.weight": torch.arange(12.0).reshape(3, 4) + index for index in range(4)}


def written(folder: Path, kind: str) -> bytes:
    path = folder / f"whole{'.safetensors' if kind == 'safetensors' else '.pth'}"
    if kind == "safetensors":
        save_file(WEIGHTS, path)
    else:
        torch.save({"state_dict": WEIGHTS, "epoch": 3}, path, _use_new_zipfile_serialization=kind == "zip")
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
@pytest.mark.filterwarnings("ignore")  # torch's own, of what it finds in a damaged file
def test_damage_anywhere_is_told_in_a_sentence(kind: str, tmp_path: Path) -> None:
    whole = written(tmp_path, kind)
    path = tmp_path / f"x{'.safetensors' if kind == 'safetensors' else '.pth'}"
    rng, told = np.random.default_rng(2), list[str]()
    for trial in range(300):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 5))):
            data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(data[: rng.integers(len(data))] if trial % 5 == 0 else data)
        try:
            read_weights(path)
        except InputError as error:
            told.append(str(error))
    assert len(told) > 100
    assert all(str(path) in words for words in told)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value: float, tmp_path: Path) -> None:
    torch.save(WEIGHTS | {"bad": torch.tensor([1.0, value])}, tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"x\.pth are damaged: bad holds"):
        read_weights(tmp_path / "x.pth")
