"""`sever import-2019`: equal logits on networks in the layout of 2019; no code is run; what can't be had is told."""

from __future__ import annotations

import collections
import contextlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from command_line import sever
from networks_2019 import Network2019, config_2019

from sever.config import ModelSettings, load_config
from sever.errors import InputError
from sever.models.layout_2019 import FEATURE_BLOCKS, fit_weights
from sever.models.pickled import read_pickled
from sever.models.segmenter import build_segmenter
from sever.pipeline.import_2019 import find_checkpoint, import_run
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.settings_2019 import translate
from sever.store import read_json

KINDS = [
    ("Unet", "se_resnext50_32x4d", "add"),
    ("Unet", "efficientnet-b0", "add"),
    ("FPN", "efficientnet-b0", "add"),
    ("FPN", "resnet18", "cat"),
]


def save(path: Path, network: torch.nn.Module, config: Any, zipped: bool = True, **more: Any) -> Path:
    """As the solution's trainer saves; torch of 2019 wrote no zip archives."""
    content = {"arch": "Unet", "epoch": 137, "state_dict": network.state_dict(), "config": config} | more
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize(("architecture", "encoder", "merge"), KINDS)
def test_an_imported_run_gives_equal_logits(architecture: str, encoder: str, merge: str, tmp_path: Path) -> None:
    old = Network2019(architecture, encoder, merge=merge)
    file = save(tmp_path / "x.pth", old, config_2019(architecture, encoder, merge=merge), zipped=False)
    run = import_run(file, tmp_path / "saved").run
    loaded = load_model(run.folder, InferenceOptions("cpu"))
    levels = torch.randint(0, 256, (1, 1, 64, 96), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.no_grad():
        wanted = old((levels / 255 - 0.3439) / 0.0383)
    image_hwc = levels[0].permute(1, 2, 0).numpy()
    (seen,) = loaded.network.predict([image_hwc])
    np.testing.assert_allclose(seen.probs_chw, wanted[0].sigmoid().numpy(), atol=2e-5)
    assert np.ptp(seen.probs_chw) > 0.1  # not equal because of being flat


def test_an_efficientnet_of_today_would_answer_otherwise_though_names_and_shapes_agree() -> None:
    old = Network2019("FPN", "efficientnet-b0")
    pixels = torch.randn(1, 1, 64, 64)
    answers = {}
    for layout in ("2019", "smp"):
        settings = ModelSettings(
            architecture="FPN",
            encoder="efficientnet-b0",
            weights="none",
            encoder_layout=layout,  # type: ignore[arg-type]
        )
        network = build_segmenter(settings, 4, (0.5,), (0.2,)).network.eval()
        network.load_state_dict(fit_weights(old.state_dict(), network))
        with torch.no_grad():
            answers[layout] = (network(pixels) - old(pixels)).abs().max().item()
    assert answers["2019"] < 1e-3
    assert answers["smp"] > 0.1


def test_each_efficientnet_keeps_the_widths_of_its_features() -> None:
    for name in ("efficientnet-b0", "efficientnet-b5"):
        settings = ModelSettings(encoder=name, weights="none", encoder_layout="2019")
        encoder = build_segmenter(settings, 1, (0.5,), (0.2,)).network.encoder.eval()
        with torch.no_grad():
            features = encoder(torch.zeros(1, 1, 64, 64))
        assert [feature.shape[1] for feature in features] == encoder.out_channels
        assert [feature.shape[2] for feature in features] == [64, 32, 16, 8, 4, 2]
        assert len(FEATURE_BLOCKS[name]) == 4


def test_the_layout_is_refused_where_it_changes_nothing() -> None:
    with pytest.raises(InputError, match="resnet18 was then as it is now"):
        build_segmenter(ModelSettings(encoder="resnet18", weights="none", encoder_layout="2019"), 1, (0.5,), (0.2,))
    for more in ({"task": "classify"}, {"output_stride": 16}):
        with pytest.raises(ValueError, match="encoder_layout 2019 is for segmenters"):
            ModelSettings.model_validate({"encoder": "efficientnet-b0", "encoder_layout": 2019} | more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of 2019 as it lies on disk: without its settings in the checkpoint, with several epochs."""
    place = tmp_path / "sever-unet" / "1014_093000"
    old = Network2019("FPN", "resnet18")
    for epoch in (9, 10, 100):
        save(place / "checkpoints" / f"checkpoint-epoch{epoch}.pth", old, None, epoch=epoch)
    (place / "checkpoints" / "config.yaml").write_text(yaml.dump(config_2019("FPN", "resnet18")))
    return place


def test_a_folder_becomes_a_run_that_predicts(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_checkpoint(folder).name == "checkpoint-epoch100.pth"
    saved, images = tmp_path / "saved", tmp_path / "images"
    assert sever("import-2019", folder, "--saved", saved, "--name", "fpn-2019") == 0
    shown = capsys.readouterr()
    run = Path(shown.out.strip())
    assert run.parent == saved / "fpn-2019"
    for said in ("The optimiser's state can't be imported", "The pseudo-labels can't be imported"):
        assert said in shown.err
    config = load_config(run / "config.yml")
    assert (config.model.encoder, config.model.in_channels, config.augment.crop) == ("resnet18", "r", (256, 384))
    assert (config.train.batch_size, config.train.seed, config.folds.share) == (18, 642, 0.2)
    assert (config.optim.encoder_learning_rate, config.optim.decoder_weight_decay) == (7e-5, 3e-4)
    assert (config.optim.flat_share, config.rules.min_pixels) == (0.12, (600, 600, 1000, 2000))
    assert read_json(run / "environment.json")["imported"]["epoch"] == 100
    assert read_json(run / "rules.json")["min_pixels"] == [600, 600, 1000, 2000]
    images.mkdir()
    cv2.imwrite(str(images / "a.png"), np.random.default_rng(0).integers(0, 255, (64, 96), np.uint8))
    assert (
        sever("predict", "-r", saved / "fpn-2019", "--images", images, "-o", tmp_path / "out", "--device", "cpu") == 0
    )
    assert (tmp_path / "out" / "probs" / "a.png.png").is_file()
    assert sever("train", "-r", run, "--device", "cpu") == 2


def test_the_best_one_is_taken_where_it_is_marked(folder: Path) -> None:
    best = folder / "checkpoints" / "model_best.pth"
    best.write_bytes((folder / "checkpoints" / "checkpoint-epoch9.pth").read_bytes())
    assert find_checkpoint(folder / "checkpoints") == best
    with pytest.raises(InputError, match=r"is neither a \.pth nor a folder with model_best"):
        find_checkpoint(folder.parent)


def test_a_configuration_alone_is_printed_and_named_where_it_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yml"
    path.write_text(yaml.dump(config_2019("Unet", "efficientnet-b5")))
    assert sever("import-2019", path) == 0
    shown = capsys.readouterr()
    made = tmp_path / "made.yml"
    made.write_text(shown.out)
    config = load_config(made)
    assert (config.model.encoder_layout, config.model.decoder_dropout_at) == ("2019", "blocks")
    assert (config.loss.dice_over, config.augment.recipe) == ("all", "severstal-2019")
    assert sever("train", "-c", path) == 2
    assert f"{path} is a configuration of the 2019 solution; `sever import-2019 {path}`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("loss", "imported", "said"),
    [
        ({"type": "BCEDiceLoss", "args": {"bce_weight": 0.6, "dice_weight": 0.4}}, (0.6, 0.4, 0.0), ""),
        ({"type": "BCEDiceLoss", "args": {}}, (0.5, 0.5, 0.0), ""),
        ({"type": "SmoothBCEDiceLoss", "args": {"bce_weight": 0.7, "dice_weight": 0.3}}, (0.7, 0.3, 1e-6), ""),
        ({"type": "SmoothBCEDiceLoss", "args": {"smooth": 1e-3}}, (0.5, 0.5, 1e-3), ""),
        ({"type": "SmoothBCEDiceLoss", "args": {"eps": 1e-7}}, (0.5, 0.5, 1e-7), ""),
        ({"type": "IoULoss", "args": {}}, (0.6, 0.4, 0.0), "The loss IoULoss can't be imported"),
    ],
)
def test_the_loss_comes_with_its_weights_and_smoothed_labels(
    loss: dict[str, Any], imported: tuple[float, ...], said: str
) -> None:
    """His own defaults where the configuration leaves a weight out: equal ones, and 1e-6."""
    translated = translate(config_2019("Unet", "resnet18") | {"loss": loss}, None, "x.yml")
    settings = translated.config.loss
    assert (settings.pixel_weight, settings.dice_weight, settings.label_smoothing) == imported
    assert settings.dice_over == "all"
    told = [sentence for sentence in translated.losses if "loss" in sentence]
    assert told == ([f"{said}: new training uses BCE + Dice."] if said else [])


@pytest.mark.parametrize("value", [None, "many", [1], {"a": 1}, float("nan"), 1e300, -1, True])
@pytest.mark.parametrize(
    "place",
    [
        ("arch", "args", "dropout"),
        ("arch", "args", "classes"),
        ("arch", "args", "decoder_channels"),
        ("lr_scheduler", "args", "start_anneal"),
        ("lr_scheduler", "args", "n_epochs"),
        ("loss", "args", "smooth"),
        ("optimizer", "encoder", "lr"),
        ("augmentation", "args", "height"),
        ("training", "epochs"),
        ("seed",),
    ],
)
def test_a_strange_value_is_refused_or_read_and_never_more(place: tuple[str, ...], value: Any) -> None:
    config = config_2019("Unet", "resnet18")
    config["loss"]["type"] = "SmoothBCEDiceLoss"
    inner = config
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with contextlib.suppress(InputError):
        translate(config, None, "x.yml")


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"type": "EffNet"}, "only Unet and FPN can be had: .* the classifier EffNet among them"),
    ({"attention_type": "scse"}, "attention_type is 'scse'; a network with it can't be imported"),
    ({"weight_std": True}, "weight_std is True; a network with it can't be imported"),
    ({"in_channels": "rg"}, "in_channels is rg; allowed are r, g, b, rgb"),
    ({"new_idea": 3}, "new_idea is unknown here"),
    ({"classes": 5}, r"of other shapes segmentation_head\.0\.weight \(4, 128, 1, 1\), here \(5, 128, 1, 1\)"),
    ({"encoder_name": "resnet34"}, "it lacks encoder.layer1.2.conv1.weight, .* and .* more"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=lambda value: str(value)[:20])
def test_other_networks_are_told_and_leave_nothing(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    config = config_2019("FPN", "resnet18")
    config["arch"]["type"] = change.get("type", "FPN")
    config["arch"]["args"] |= {key: value for key, value in change.items() if key != "type"}
    file = save(tmp_path / "x.pth", Network2019("FPN", "resnet18"), config)
    with pytest.raises(InputError, match=said):
        import_run(file, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


class Planted:
    """A pickle that would make a file where it is loaded by plain pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_code_in_a_file_is_run(zipped: bool, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    network = torch.nn.Linear(1, 1)
    file = save(tmp_path / "x.pth", network, config_2019("FPN", "resnet18"), zipped, optimizer=Planted(victim))
    with pytest.raises(InputError, match="more than tensors and numbers, and none of its code is run"):
        import_run(file, tmp_path / "saved")
    assert not victim.exists()
    torch.load(file, weights_only=False)  # the plant works
    assert victim.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_what_trainers_of_2019_kept_beside_weights_is_read(zipped: bool, tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    more = {
        "monitor_best": np.float64(0.123),
        "optimizer": optimizer.state_dict(),
        "share": np.float32(0.5),
    }
    config = collections.OrderedDict(a=1)
    content = read_pickled(save(tmp_path / "x.pth", network, config, zipped, **more))
    assert content["monitor_best"] == 0.123
    assert torch.equal(content["state_dict"]["weight"], network.weight)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot read"),
        (b"PK\x03\x04 and then nothing", "cannot read"),
        ({"weights": 1}, "has no `state_dict`"),
        ({"state_dict": {"a": 1}, "config": config_2019("FPN", "resnet18")}, "its state_dict holds a, where tensors"),
        ({"state_dict": {"a": torch.tensor(float("nan"))}, "config": config_2019("FPN", "resnet18")}, "is not finite"),
        ({"state_dict": {"a": torch.zeros(1)}}, "no config.yml beside it"),
        ({"state_dict": {"a": torch.zeros(1)}, "config": {"lr": 1}}, "it has no `arch` and `optimizer`"),
    ],
)
def test_other_files_are_told(content: Any, said: str, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "x.pth"
    file.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(InputError, match=said):
        import_run(file, tmp_path / "saved")


def test_weights_of_several_gpus_and_half_precision_are_read() -> None:
    old = Network2019("FPN", "resnet18")
    network = build_segmenter(ModelSettings(architecture="FPN", encoder="resnet18", weights="none"), 4, (0.5,), (0.2,))
    halves = {f"module.{name}": tensor.half() for name, tensor in old.state_dict().items()}
    fitted = fit_weights({**halves}, network.network)
    assert {tensor.dtype for tensor in fitted.values()} == {torch.float32, torch.int64}
    network.network.load_state_dict(fitted)
