"""Images at an address of fsspec: kept once, whole, found again, dropped; a service and a backup over it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from serve_maker import png, running, spots

from sever.deliver.serve.storage.backup import back_up, restore
from sever.deliver.serve.storage.pictures import Pictures
from sever.deliver.serve.storage.remote_pictures import RemotePictures, open_pictures
from sever.deliver.serve.storage.store import Store
from sever.errors import InputError

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
DATA = b"steel"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["memory", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    fsspec.filesystem("memory").store.clear()
    return f"memory://sever-{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}/far"


def test_an_image_is_kept_once_and_found_again(address: str) -> None:
    pictures = open_pictures(Path("unused"), address)
    assert isinstance(pictures, RemotePictures)
    assert pictures.read(DIGEST) is None
    assert list(pictures) == []
    assert pictures.keep(DATA) == pictures.keep(DATA) == DIGEST
    again = RemotePictures(address)
    assert again.read(DIGEST) == DATA
    assert list(again) == [DIGEST], "nothing but the image: no temporary file either"
    assert again.age(DIGEST) > 1.7e9
    again.drop(DIGEST)
    again.drop(DIGEST)
    assert again.read(DIGEST) is None
    assert again.keep(DATA) == DIGEST
    assert again.read(DIGEST) == DATA


def test_what_was_dropped_by_another_is_written_again(address: str) -> None:
    first, second = RemotePictures(address), RemotePictures(address)
    first.keep(DATA)
    first.drop(DIGEST)
    first.keep(DATA)
    assert second.read(DIGEST) == DATA


def test_a_damaged_image_is_told(address: str) -> None:
    pictures = RemotePictures(address)
    pictures.keep(DATA)
    fs, root = fsspec.core.url_to_fs(address)
    fs.pipe_file(f"{root}/{DIGEST[:2]}/{DIGEST}", b"rust")
    with pytest.raises(OSError, match="damaged"):
        RemotePictures(address).read(DIGEST)


def test_a_store_that_fails_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = RemotePictures("memory://away")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the bucket is gone")

    monkeypatch.setattr(type(pictures._fs), "pipe_file", fail)
    with pytest.raises(OSError, match="the bucket is gone"):
        pictures.keep(DATA)


def test_addresses_that_mean_nothing_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="nonsense://x"):
        open_pictures(tmp_path, "nonsense://x")
    assert isinstance(open_pictures(tmp_path, None), Pictures)
    elsewhere = open_pictures(tmp_path, str(tmp_path / "elsewhere"))
    assert elsewhere.keep(DATA) == DIGEST
    assert (tmp_path / "elsewhere" / DIGEST[:2] / DIGEST).is_file()
    monkeypatch.setattr("sever.deliver.serve.storage.remote_pictures.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"sever\[stores\]"):
        open_pictures(tmp_path, "memory://x")


def test_a_backup_takes_the_images_from_afar_and_brings_them_back(address: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "store", images=address)
    store.pictures.keep(DATA)
    store.close()
    counts = back_up(tmp_path / "store", None, tmp_path / "all.tar", address)
    assert counts["image files"] == 1
    assert not (tmp_path / "store" / "images").exists()
    restore(tmp_path / "all.tar", tmp_path / "new", None, f"{address}-new")
    assert RemotePictures(f"{address}-new").read(DIGEST) == DATA


def test_the_service_keeps_its_images_there(address: str, tmp_path: Path) -> None:
    """As `sever serve` does, whose store has an address of its own."""
    with running(tmp_path / "store", {"images": address}) as served, served.client() as client:
        uid = client.post("/v1/inspect", content=png(spots())).json()["id"]
        found = client.get(f"/v1/answers/{uid}/image")
        assert found.content == png(spots())
        assert list(RemotePictures(address)) == [hashlib.sha256(png(spots())).hexdigest()]
        assert client.get(f"/v1/answers/{uid}/overlay.png").status_code == 200
    assert not (tmp_path / "store" / "images").exists()
