"""What the tests of Kaggle share: the real client, signed in to a server of our own on loopback."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from kaggle_server import KEY, USER, Naps, World, kaggle_server

from sever.deliver.kaggle.patience import Patience


@pytest.fixture
def nowhere_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any Kaggle credentials, and no proxy that loopback would go through."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home))
    monkeypatch.setenv("NO_PROXY", "*")
    return home


@pytest.fixture
def world(nowhere_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The server; the client is pointed at it, and signs in as its user."""
    pytest.importorskip("kaggle", reason="needs sever[kaggle]")
    from kaggle.api.kaggle_api_extended import KaggleApi
    from kagglesdk import kaggle_env

    with kaggle_server() as world:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, world.url)
        monkeypatch.setattr(KaggleApi, "args", ["--local"])
        monkeypatch.setattr(KaggleApi, "config", str(nowhere_home / "kaggle.json"))
        monkeypatch.setenv("KAGGLE_USERNAME", USER)
        monkeypatch.setenv("KAGGLE_KEY", KEY)
        yield world


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def patience(naps: Naps) -> Patience:
    return Patience(attempts=4, first_seconds=1.0, sleep=naps.sleep, clock=naps.clock)


@pytest.fixture
def silent() -> Iterator[io.StringIO]:
    """Everything that is printed, for tests that look for secrets in it."""
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        yield heard
