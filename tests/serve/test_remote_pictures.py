"""Images at an address of fsspec: kept once, whole, found again, dropped; a service and a backup over it."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from serve_maker import png, running, spots

from sever.deliver.serve.storage.backup import back_up, restore
from sever.deliver.serve.storage.export import export
from sever.deliver.serve.storage.pictures import Pictures
from sever.deliver.serve.storage.remote_pictures import RemotePictures, open_pictures
from sever.deliver.serve.storage.store import Store, open_existing
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


def test_a_backup_or_export_without_its_images_says_so(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong address must not make a backup that has no images in it."""
    with running(tmp_path / "store", {"images": address}) as served, served.client() as client:
        answers = [client.post("/v1/inspect", content=png(spots(seed=seed))).json() for seed in range(3)]
        for each in answers:
            client.post(f"/v1/answers/{each['id']}/corrections", json={"verdict": "accepted", "base": 0})
    for place in (f"{address}-typo", str(tmp_path / "typo")):
        with pytest.raises(InputError, match=r"there is nothing at .*typo, but the tables name 3 images"):
            back_up(tmp_path / "store", None, tmp_path / "no.tar", place)
        with (
            open_existing(tmp_path / "store", None, place) as found,
            pytest.raises(InputError, match="none of the 3 images that people judged is at"),
        ):
            export(found, tmp_path / "no")
    assert not (tmp_path / "no.tar").exists()
    assert not (tmp_path / "no").exists()
    RemotePictures(address).drop(answers[0]["image"]["sha256"])
    assert back_up(tmp_path / "store", None, tmp_path / "two.tar", address)["image files"] == 2
    assert "1 image of 3 that the tables name is not at" in caplog.text


@pytest.mark.parametrize("word", ["find", "exists", "cat_file", "pipe_file"])
def test_a_store_that_refuses_is_no_fault_of_ours(
    word: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FTP and HTTP do by errors of the network, which name no file."""
    pictures = RemotePictures(address)
    pictures.keep(DATA)

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr(type(pictures._fs), word, refuse)
    uses: dict[str, Callable[[], object]] = {
        "find": lambda: list(pictures),
        "exists": pictures.is_there,
        "cat_file": lambda: pictures.read(DIGEST),
        "pipe_file": lambda: RemotePictures(address).keep(DATA),
    }
    with pytest.raises(InputError, match=r"can't be reached: .*Connection refused") as raised:
        uses[word]()
    assert isinstance(raised.value, OSError)


def test_the_service_keeps_its_images_there(address: str, tmp_path: Path) -> None:
    """As `sever serve` does, whose store has an address of its own."""
    with running(tmp_path / "store", {"images": address}) as served, served.client() as client:
        uid = client.post("/v1/inspect", content=png(spots())).json()["id"]
        found = client.get(f"/v1/answers/{uid}/image")
        assert found.content == png(spots())
        assert list(RemotePictures(address)) == [hashlib.sha256(png(spots())).hexdigest()]
        assert client.get(f"/v1/answers/{uid}/overlay.png").status_code == 200
    assert not (tmp_path / "store" / "images").exists()
