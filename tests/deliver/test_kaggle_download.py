"""Downloads by the real client: whole, resumed, verified, unpacked at once or not at all, and done once."""

from __future__ import annotations

import hashlib
import io
import random
import resource
import shutil
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from kaggle_server import SECRETS, Fault, Naps, Stored, World, zipped

from sever import cli
from sever.deliver.kaggle import download as download_module
from sever.deliver.kaggle import unpack as unpack_module
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.unpack import unpack
from sever.errors import InputError
from sever.pipeline.kaggle.download import WantedData, download_data

NAME = "severstal-steel-defect-detection"
NOISE = random.Random(1).randbytes(300_000)  # does not get smaller in a zip archive
FILES = {"train.csv": b"ImageId,ClassId,EncodedPixels\n", "train_images/a.jpg": NOISE, "test_images/b.jpg": b"b"}
WHOLE = zipped(FILES)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def steel(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Kaggle has the competition, and storage sends small pieces."""
    world.competitions[NAME] = Stored(WHOLE)
    monkeypatch.setattr(download_module, "CHUNK_BYTES", 10_000)
    return world


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found.pop("download.json")
    return found


def test_a_competition_arrives_whole_and_only_once(steel: World, tmp_path: Path, patience: Patience) -> None:
    output = tmp_path / "raw" / NAME
    assert download_data(WantedData(NAME), output, patience) == output
    assert contents(output) == FILES
    assert [path.name for path in output.parent.iterdir()] == [NAME]  # neither archive nor part is left
    before = list(steel.log)
    assert download_data(WantedData(NAME), output, patience) == output
    assert steel.log == before


def test_the_default_name_and_folder(
    steel: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sever", "download"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert capsys.readouterr().out == f"{tmp_path / 'data' / 'raw' / NAME}\n"
    assert contents(tmp_path / "data" / "raw" / NAME) == FILES


def test_a_data_set(steel: World, tmp_path: Path, patience: Patience) -> None:
    steel.datasets["smith/strips"] = Stored(WHOLE)
    assert contents(download_data(WantedData("smith/strips", is_dataset=True), tmp_path / "x", patience)) == FILES
    with pytest.raises(InputError, match="private, or does not exist"):
        download_data(WantedData("smith/other", is_dataset=True), tmp_path / "y", patience)


# directly: the call itself answers with the bytes, and is repeated with Range, signed in as before
@pytest.mark.parametrize(("with_md5", "direct"), [(True, False), (False, False), (True, True)])
def test_a_cut_connection_is_gone_on_with(
    with_md5: bool, direct: bool, steel: World, tmp_path: Path, patience: Patience, naps: Naps
) -> None:
    steel.direct = direct
    steel.competitions[NAME].with_md5 = with_md5
    steel.faults += [Fault("whole", cut=100_000), Fault("bytes=100000-", cut=100_000)]
    assert contents(download_data(WantedData(NAME), tmp_path / "out", patience)) == FILES
    assert steel.ranges == ["bytes=100000-", "bytes=200000-"]
    assert naps.slept == [1.0, 1.0]


def test_another_process_goes_on(steel: World, tmp_path: Path, patience: Patience) -> None:
    steel.faults.append(Fault("GET /storage", cut=150_000, times=1))
    steel.faults.append(Fault("GET /storage", cut=0, times=99))
    with pytest.raises(InputError, match=rf"150000 of {len(WHOLE)} bytes came\); resume with the same command"):
        download_data(WantedData(NAME), tmp_path / "out", patience)
    steel.faults.clear()
    steel.ranges.clear()
    assert contents(download_data(WantedData(NAME), tmp_path / "out", patience)) == FILES
    assert steel.ranges == ["bytes=150000-"]


def test_a_file_that_changed_meanwhile_is_not_mixed_with_the_old_one(
    steel: World, tmp_path: Path, patience: Patience
) -> None:
    steel.faults.append(Fault("GET /storage", cut=150_000, times=1))
    steel.faults.append(Fault("GET /storage", cut=0, times=99))
    with pytest.raises(InputError):
        download_data(WantedData(NAME), tmp_path / "out", patience)
    steel.faults.clear()
    news = FILES | {"train_images/a.jpg": NOISE[::-1]}
    steel.competitions[NAME] = Stored(zipped(news), with_md5=False)
    assert contents(download_data(WantedData(NAME), tmp_path / "out", patience)) == news


def test_storage_without_ranges_starts_again(steel: World, tmp_path: Path, patience: Patience) -> None:
    steel.competitions[NAME].ranges = False
    steel.faults.append(Fault("GET /storage", cut=150_000))
    assert contents(download_data(WantedData(NAME), tmp_path / "out", patience)) == FILES


def test_a_wrong_length(steel: World, tmp_path: Path, patience: Patience) -> None:
    steel.faults.append(Fault("GET /storage", longer=5, times=99))
    with pytest.raises(InputError, match=rf"of {len(WHOLE) + 5} bytes came"):
        download_data(WantedData(NAME), tmp_path / "out", patience)
    assert not (tmp_path / "out").exists()


def test_a_wrong_byte_is_found_by_the_checksum(steel: World, tmp_path: Path, patience: Patience) -> None:
    steel.faults.append(Fault("GET /storage", corrupt=True))
    with pytest.raises(InputError, match="another checksum"):
        download_data(WantedData(NAME), tmp_path / "out", patience)
    assert list(tmp_path.glob("out*")) == []  # the wrong part is not gone on with
    assert contents(download_data(WantedData(NAME), tmp_path / "out", patience)) == FILES


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("Download", 401, times=99), "does not accept these credentials"),
        (Fault("GET /storage", 500, times=99), "an internal fault"),
        (Fault("Download", 429, times=99), "too many requests"),
    ],
)
def test_faults_are_told_in_words(fault: Fault, said: str, steel: World, tmp_path: Path, patience: Patience) -> None:
    steel.faults.append(fault)
    with pytest.raises(InputError, match=said) as caught:
        download_data(WantedData(NAME), tmp_path / "out", patience)
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert not (tmp_path / "out").exists()


def test_rules_that_are_not_accepted(steel: World, tmp_path: Path, patience: Patience) -> None:
    steel.rules_accepted = False
    with pytest.raises(InputError, match=rf"has not accepted the rules.*kaggle.com/competitions/{NAME}/rules"):
        download_data(WantedData(NAME), tmp_path / "out", patience)


def test_a_competition_that_does_not_exist(steel: World, tmp_path: Path, patience: Patience) -> None:
    with pytest.raises(InputError, match=r"there is no competition 'severstall' on Kaggle \(404\)"):
        download_data(WantedData("severstall"), tmp_path / "out", patience)


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(InputError, match="is not"):
        WantedData(name)


def test_a_disk_without_room_is_told_before(
    steel: World, tmp_path: Path, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda path: Usage(10**6, 10**6, 1000))
    with pytest.raises(InputError, match=r"is full: 1 MiB are needed, 0 MiB are free"):
        download_data(WantedData(NAME), tmp_path / "out", patience)


def test_a_disk_that_fills_up_keeps_what_came(steel: World, tmp_path: Path, patience: Patience) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, hard))  # the kernel's own refusal
    try:
        with pytest.raises(InputError, match="is full; make room and resume with the same command"):
            download_data(WantedData(NAME), tmp_path / "out", patience)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(download_data(WantedData(NAME), tmp_path / "out", patience)) == FILES
    assert len(steel.ranges) == 1


def test_a_broken_archive_is_not_kept(steel: World, tmp_path: Path, patience: Patience) -> None:
    steel.competitions[NAME] = Stored(WHOLE[:-500])
    with pytest.raises(InputError, match="broken zip archive"):
        download_data(WantedData(NAME), tmp_path / "out", patience)
    assert list(tmp_path.glob("*out*")) == []
    steel.competitions[NAME] = Stored(WHOLE)
    assert contents(download_data(WantedData(NAME), tmp_path / "out", patience)) == FILES


def test_a_file_of_the_archive_that_is_damaged(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    position = WHOLE.index(NOISE[1000:1100])  # noise is stored nearly as it is
    archive.write_bytes(WHOLE[:position] + b"\0" * 50 + WHOLE[position + 50 :])
    with pytest.raises(InputError, match="broken zip archive"):
        unpack(archive, tmp_path / "out", no_meter)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_however_an_archive_is_damaged_it_is_told(tmp_path: Path) -> None:
    """Bytes of a good archive changed at random: it is unpacked, or refused in words, and nothing is half-written."""
    generator = random.Random(3)
    whole = zipped({"train.csv": b"ImageId,ClassId,EncodedPixels\n" * 5, "test_images/b.jpg": b"b" * 40})
    refusals = 0
    for _ in range(600):
        damaged = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        (tmp_path / "a.zip").write_bytes(damaged)
        try:
            unpack(tmp_path / "a.zip", tmp_path / "out", no_meter)
            shutil.rmtree(tmp_path / "out")
        except InputError:
            refusals += 1
        assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert refusals > 100


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "C:\\evil", "a\\..\\..\\evil"])
def test_paths_that_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("good", b"")
        file.writestr(name, b"")
    with pytest.raises(InputError, match="leads out of the folder"):
        unpack(archive, tmp_path / "in" / "out", no_meter)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "in"]


def test_no_room_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped({"big": b"0" * 5_000_000}))
    monkeypatch.setattr(unpack_module.shutil, "disk_usage", lambda path: Usage(10**7, 10**7, 2_000_000))
    with pytest.raises(InputError, match="needs 5 MiB, 1 MiB are free"):
        unpack(archive, tmp_path / "out", no_meter)
    assert archive.exists()


def test_a_folder_with_something_else_in_it(steel: World, tmp_path: Path, patience: Patience) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    with pytest.raises(InputError, match="did not write"):
        download_data(WantedData(NAME), tmp_path / "mine", patience)
    steel.datasets["smith/strips"] = Stored(WHOLE)
    download_data(WantedData("smith/strips", True), tmp_path / "other", patience)
    with pytest.raises(InputError, match="holds smith/strips"):
        download_data(WantedData(NAME), tmp_path / "other", patience)
    assert steel.count("DownloadDataFiles") == 0


def test_no_secret_is_printed_or_written(steel: World, tmp_path: Path, patience: Patience, silent: io.StringIO) -> None:
    steel.faults.append(Fault("GET /storage", cut=100_000))
    steel.faults.append(Fault("GET /storage", cut=0, times=99))
    with pytest.raises(InputError):
        download_data(WantedData(NAME), tmp_path / "out", patience)
    partly = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    steel.faults.clear()
    download_data(WantedData(NAME), tmp_path / "out", patience)
    wholly = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in SECRETS:
        assert secret not in silent.getvalue()
        assert secret.encode() not in partly + wholly


def no_meter(title: str, total: int, done: int) -> Silence:
    return Silence()


class Silence:
    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *arguments: object) -> None:
        pass

    def advance(self, amount: int = 1, note: str = "") -> None:
        assert amount >= 0


def test_progress_adds_up(tmp_path: Path) -> None:
    counted: list[tuple[int, int]] = []

    class Count(Silence):
        def __init__(self, total: int) -> None:
            self.total, self.sum = total, 0

        def advance(self, amount: int = 1, note: str = "") -> None:
            self.sum += amount

        def __exit__(self, *arguments: object) -> None:
            counted.append((self.sum, self.total))

    archive = tmp_path / "a.zip"
    archive.write_bytes(WHOLE)
    assert unpack(archive, tmp_path / "out", lambda title, total, done: Count(total)) == 3
    assert counted == [(3, 3)]
    assert (
        hashlib.md5((tmp_path / "out" / "train_images" / "a.jpg").read_bytes()).digest() == hashlib.md5(NOISE).digest()
    )
    shutil.rmtree(tmp_path / "out")
