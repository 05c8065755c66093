"""What the tests of Kaggle share: the real client, signed in to a server of our own on loopback."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from kaggle_server import Naps, World, forget_account, signed_in_server

from sever.deliver.kaggle.patience import Patience


@pytest.fixture
def nowhere_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    forget_account(monkeypatch, home)
    return home


@pytest.fixture
def world(nowhere_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with signed_in_server(monkeypatch, nowhere_home) as world:
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
