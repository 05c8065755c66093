"""Bundles come back as they were written, and whatever is wrong with one is told in one sentence."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.errors import InputError
from sever.store.bundle import container
from sever.store.bundle.bundle import Bundle, write_bundle
from sever.store.bundle.container import MANIFEST, is_bundle, write_parts
from sever.store.bundle.manifest import BundleRecord

GRAPH = "networks/0/network.onnx"
PARTS: dict[str, bytes | Path] = {GRAPH: bytes(range(256)) * 20, "card.md": "# Modell für Bänder\n".encode()}
NETWORK: dict[str, Any] = {
    "name": "unet",
    "architecture": "Unet",
    "encoder": "resnet18",
    "weights_sha256": "0" * 64,
    "channels": 1,
    "mean": [0.35],
    "std": [0.15],
    "draws_masks": True,
    "labels_images": False,
    "size_multiple": 32,
    "tile": [1024, 2048],
    "tile_overlap": 128,
    "batch_size": 8,
    "flips": ["width"],
    "graphs": {"onnx": GRAPH},
}
MANIFEST_VALUES: dict[str, Any] = {
    "format": "sever-bundle",
    "name": "unet",
    "kind": "run",
    "sever": "0.1.0",
    "class_names": ["pit", "scratch"],
    "class_colours": ["#ee7733", "#33bbee"],
    "significant_bits": 16,
    "max_pixels": 1 << 20,
    "networks": [NETWORK],
    "model": {"network": 0},
    "rules": {"pixel_threshold": [0.5, 0.4], "min_pixels": 7},
    "parts": {},
}
BLEND = {"kind": "mean", "weights": [1.0, 2.0], "power": 2.0}
TWO = {
    "networks": [NETWORK, NETWORK],
    "model": {"members": [{"network": 0}, {"network": 1}], "blend": BLEND},
}


def record(**changes: Any) -> BundleRecord:
    return BundleRecord.parse(json.dumps(MANIFEST_VALUES | changes), "a manifest")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.sever"
    write_bundle(path, record(), PARTS)
    return path


def sealed(path: Path, content: bytes) -> Path:
    """What a forger would make, who knows how a seal is computed."""
    mark = b"sever-bundle-1 sha256:"
    body = content[: content.rindex(mark)] if mark in content else content
    path.write_bytes(body + mark + hashlib.sha256(body).hexdigest().encode())
    return path


def rewritten(path: Path, change: Callable[[zipfile.ZipFile, dict[str, bytes]], None]) -> Path:
    """The bundle's parts in another zip, sealed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        change(archive, parts)
        archive.comment = b"-" * 86
    return sealed(path, path.read_bytes()[:-86])


def the_fault(path: Path) -> str:
    """The one sentence, which names the file."""
    with pytest.raises(InputError) as caught:
        Bundle.open(path).check()
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 400
    assert message.count(str(path)) == 1, "it is said once"
    return message


def test_what_was_written_is_read(file: Path) -> None:
    bundle = Bundle.open(file)
    bundle.check()
    assert {name: bundle.read(name) for name in bundle.manifest.parts} == PARTS
    assert bundle.manifest.model_copy(update={"parts": {}}) == record()
    assert is_bundle(file)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9]{0,5}(/[a-z][a-z0-9]{0,5}){0,2}", fullmatch=True), st.binary(max_size=99)
    )
)
def test_any_parts_come_back(tmp_path_factory: pytest.TempPathFactory, parts: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("any") / "model.sever"
    write_bundle(path, record(networks=[NETWORK | {"graphs": {}}]), parts)
    bundle = Bundle.open(path)
    assert {name: bundle.read(name) for name in bundle.manifest.parts} == parts


def test_the_same_model_makes_the_same_file(file: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "again.sever", record(), PARTS)
    assert (tmp_path / "again.sever").read_bytes() == file.read_bytes()


def test_any_zip_program_unpacks_it_and_the_folder_is_a_bundle(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "unpacked")
    bundle = Bundle.open(tmp_path / "unpacked")
    bundle.check()
    assert bundle.manifest == Bundle.open(file).manifest
    assert is_bundle(tmp_path / "unpacked")
    (tmp_path / "unpacked" / "card.md").write_text("# Something else")
    assert "card.md" in the_fault(tmp_path / "unpacked")
    (tmp_path / "unpacked" / "card.md").unlink()
    assert "lacks the part card.md" in the_fault(tmp_path / "unpacked")


def test_truncated_anywhere(file: Path) -> None:
    content = file.read_bytes()
    for length in (*range(0, len(content), 1000), *range(1, 8), *range(len(content) - 100, len(content))):
        file.write_bytes(content[:length])
        the_fault(file)


def test_no_bit_can_be_flipped(file: Path) -> None:
    content = file.read_bytes()
    for at in (*range(0, 400), *range(400, len(content), 97), *range(len(content) - 500, len(content))):
        damaged = bytearray(content)
        damaged[at] ^= 1 << (at % 8)
        file.write_bytes(damaged)
        the_fault(file)


def test_more_bytes_at_its_end_or_its_start(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content + b"\n")
    assert "seal" in the_fault(file)
    file.write_bytes(b"#!/bin/sh\n" + content)
    assert "is not a bundle" in the_fault(file)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n" + b"0" * 500, b"PK\x03\x04" * 99])
def test_what_is_no_bundle_at_all(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.sever").write_bytes(content)
    the_fault(tmp_path / "model.sever")


def test_what_is_not_there(tmp_path: Path) -> None:
    the_fault(tmp_path / "model.sever")
    assert MANIFEST in the_fault(tmp_path)


@pytest.mark.parametrize(
    "name", ["../out", "/etc/out", "a/../../out", "C:/out", "a\\out", "a//out", "a/./out", "\x1b[2Jout"]
)
def test_no_part_leaves_the_folder(name: str, file: Path) -> None:
    def add(archive: zipfile.ZipFile, parts: dict[str, bytes]) -> None:
        for each, content in (parts | {name: b"!"}).items():
            archive.writestr(each, content)

    assert "can't be" in the_fault(rewritten(file, add))


@pytest.mark.parametrize("second", ["card.md", "CARD.md", MANIFEST, MANIFEST.upper()])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_part_stands_twice(second: str, file: Path) -> None:
    def add(archive: zipfile.ZipFile, parts: dict[str, bytes]) -> None:
        for each, content in parts.items():
            archive.writestr(each, content)
        archive.writestr(second, b"{}")

    assert "appears twice" in the_fault(rewritten(file, add))


@pytest.mark.parametrize("missing", ["card.md", GRAPH, MANIFEST])
def test_no_part_is_missing(missing: str, file: Path) -> None:
    def leave_out(archive: zipfile.ZipFile, parts: dict[str, bytes]) -> None:
        for each, content in parts.items():
            if each != missing:
                archive.writestr(each, content)

    assert missing in the_fault(rewritten(file, leave_out))


def test_a_part_that_the_manifest_does_not_know(file: Path) -> None:
    def add(archive: zipfile.ZipFile, parts: dict[str, bytes]) -> None:
        for each, content in (parts | {"run.py": b"print()"}).items():
            archive.writestr(each, content)

    assert "run.py" in the_fault(rewritten(file, add))


@pytest.mark.parametrize("other", [b"other", b"\xff" + bytes(PARTS[GRAPH])[1:]])
def test_a_tampered_part_in_a_good_seal(other: bytes, file: Path) -> None:
    def change(archive: zipfile.ZipFile, parts: dict[str, bytes]) -> None:
        for each, content in (parts | {GRAPH: other}).items():
            archive.writestr(each, content)

    assert GRAPH in the_fault(rewritten(file, change))


def test_a_bomb_is_not_unpacked(file: Path) -> None:
    def compress(archive: zipfile.ZipFile, parts: dict[str, bytes]) -> None:
        for each, content in parts.items():
            archive.writestr(each, content)
        archive.writestr("zeros", bytes(50 << 20), zipfile.ZIP_DEFLATED)

    assert "compressed" in the_fault(rewritten(file, compress))


def test_parts_that_lie_over_each_other_are_a_bomb_too(file: Path) -> None:
    """Fifield's: many entries of the directory point to the same bytes."""

    def overlap(archive: zipfile.ZipFile, parts: dict[str, bytes]) -> None:
        for each, content in parts.items():
            archive.writestr(each, content)
        kernel = archive.getinfo(GRAPH)
        for number in range(50):
            twin = zipfile.ZipInfo(f"twin{number}")
            twin.header_offset, twin.file_size, twin.compress_size = kernel.header_offset, *2 * (kernel.file_size,)
            twin.CRC = kernel.CRC
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin

    assert "does not begin where" in the_fault(rewritten(file, overlap))


def test_too_many_parts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MOST_PARTS", 2)
    assert "3 parts" in the_fault(file)


def test_sizes_that_the_directory_lies_about(file: Path) -> None:
    """Every length in the zip's directory, one after the other, changed and sealed again."""
    content = file.read_bytes()
    for match in re.finditer(rb"PK\x01\x02", content):
        for field in (20, 24, 28, 30, 42):
            damaged = bytearray(content)
            (value,) = struct.unpack_from("<H", content, match.start() + field)
            struct.pack_into("<H", damaged, match.start() + field, (value + 1) % 65536)
            sealed(file, bytes(damaged))
            # What would run past the directory's end, behind the last entry, is cut there, and so the same.
            if field not in (28, 30) or match.start() != content.rindex(b"PK\x01\x02"):
                the_fault(file)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "another release of sever wrote it (version 2"),
        ({"format": "other"}, "format"),
        ({"class_names": ["pit"]}, "2 `class_colours` for 1 classes"),
        ({"class_names": ["pit", "pit"]}, "appears twice"),
        ({"rules": {"min_pixels": [1, 2, 3]}}, "3 entries"),
        ({"rules": {"min_pixel": 1}}, "min_pixel"),
        ({"rules": {"version": 9}}, "version"),
        ({"model": {"network": 1}}, "networks"),
        ({"model": {"network": 0, "members": [{"network": 0}]}}, "either"),
        (TWO | {"model": {"members": [{"network": 0}, {"network": 0}], "blend": BLEND}}, "each of the `networks`"),
        (TWO | {"model": TWO["model"] | {"blend": BLEND | {"weights": [1.0]}}}, "1 weights for 2 members"),  # type: ignore[operator]
        (TWO | {"model": TWO["model"] | {"blend": BLEND | {"kind": "best"}}}, "unknown blend"),  # type: ignore[operator]
        ({"networks": [NETWORK | {"flips": ["width", "width"]}]}, "flips"),
        ({"networks": [NETWORK | {"flips": ["diagonal"]}]}, "flips"),
        ({"networks": [NETWORK | {"tile": [64, 64], "tile_overlap": 64}]}, "overlap"),
        ({"networks": [NETWORK | {"size_multiple": 0}]}, "size_multiple"),
        ({"networks": [NETWORK | {"channels": 2}]}, "channels"),
        ({"networks": [NETWORK | {"graphs": {"onnx": "../m.onnx"}}]}, "can't be"),
        ({"networks": [NETWORK | {"graphs": {"onnx": "other.onnx"}}]}, "lacks the part other.onnx"),
        ({"networks": []}, "networks"),
        ({"surprise": 1}, "unknown"),
        ({"significant_bits": float("nan")}, "nan"),
    ],
)
def test_manifests_that_make_no_sense(changes: dict[str, Any], said: str, file: Path) -> None:
    def change(archive: zipfile.ZipFile, parts: dict[str, bytes]) -> None:
        values = json.loads(parts.pop(MANIFEST)) | changes
        archive.writestr(MANIFEST, json.dumps(values))
        for each, content in parts.items():
            archive.writestr(each, content)

    assert said in the_fault(rewritten(file, change))


def test_a_deep_manifest(file: Path) -> None:
    def change(archive: zipfile.ZipFile, parts: dict[str, bytes]) -> None:
        nested = '{"members":[' * 5000 + '{"network":0}' + "]}" * 5000
        text = json.dumps(json.loads(parts[MANIFEST]) | {"model": "here"}).replace('"here"', nested)
        archive.writestr(MANIFEST, text)
        for each, content in parts.items():
            if each != MANIFEST:
                archive.writestr(each, content)

    the_fault(rewritten(file, change))


def test_an_existing_bundle_stays_where_writing_fails(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    monkeypatch.setattr(container, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="leave members or backends out"):
        write_parts(file, {MANIFEST: b"{}", "large": bytes(1000)})
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]
