"""Formats: damage that a decoder notices is a fault, pixels are those that are stored, headers come first."""

from __future__ import annotations

import io
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from sever.data.codecs import find_codec
from sever.data.images import image_size, read_header, read_image, read_label_map
from sever.data.reader import ImageReader
from sever.errors import InputError

RNG = np.random.default_rng(11)
COLOUR = cv2.GaussianBlur(RNG.integers(0, 256, (61, 90, 3)).astype(np.uint8), (0, 0), 1.5)
GREY = COLOUR[..., 0].copy()
ALPHA = RNG.integers(0, 256, GREY.shape).astype(np.uint8)
TIFF_ENTRY = struct.Struct("<HHII")


def saved(pixels: np.ndarray, kind: str, **settings: Any) -> bytes:
    """An image file by Pillow, which writes what OpenCV can't; colours are RGB."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **settings)
    return stream.getvalue()


def tiff(rows: list[bytes], width: int, **tags: int) -> bytes:
    """A plain TIFF by hand, of one strip; `tags` by number, as t258=12."""
    strip = b"".join(rows)
    values = {256: width, 257: len(rows), 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: len(rows), 279: len(strip)}
    values |= {int(name[1:]): value for name, value in tags.items()}
    entries = b"".join(TIFF_ENTRY.pack(tag, 4, 1, value) for tag, value in sorted(values.items()))
    end = struct.pack("<H", len(values)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + end


def put(folder: Path, data: bytes, name: str = "x.img") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@contextmanager
def what_is_printed() -> Iterator[list[bytes]]:
    """All that anything writes to standard error meanwhile, libraries in C too."""
    said: list[bytes] = []
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_WARNING)
        try:
            yield said
        finally:
            cv2.utils.logging.setLogLevel(level)
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            said.append(file.read())


def opencv_notices(data: bytes) -> bool:
    """Whether OpenCV gives no pixels or prints anything: the second opinion."""
    with what_is_printed() as said:
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            pixels = None
    return pixels is None or bool(said[0])


NOISE = RNG.integers(0, 256, (61, 90, 3)).astype(np.uint8)
DAMAGEABLE = {
    "jpeg": saved(COLOUR, "JPEG", quality=90),
    "progressive jpeg": saved(COLOUR, "JPEG", quality=90, progressive=True),
    "grey jpeg with restarts": saved(GREY, "JPEG", quality=90, restart_marker_blocks=4),
    "lzw tiff": saved(COLOUR, "TIFF", compression="tiff_lzw"),
    "grey lzw tiff": saved(np.tile(GREY, (4, 4)), "TIFF", compression="tiff_lzw"),
    "deflate tiff": saved(COLOUR, "TIFF", compression="tiff_adobe_deflate"),
    "packbits tiff": saved(COLOUR // 64, "TIFF", compression="packbits"),
    "jpeg tiff": saved(COLOUR, "TIFF", compression="jpeg"),
    "16-bit lzw tiff": cv2.imencode(".tif", GREY.astype(np.uint16) * 99, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[
        1
    ].tobytes(),
    "webp": saved(COLOUR, "WEBP"),
}


@pytest.mark.parametrize("kind", DAMAGEABLE)
def test_damage_that_opencv_notices_is_a_fault(kind: str, tmp_path: Path) -> None:
    """Bytes zeroed, replaced and lost, at many places: nothing that OpenCV prints or refuses goes through."""
    good = DAMAGEABLE[kind]
    end = len(good) - (300 if "16-bit" in kind else 20)  # a directory at the end is no pixels
    assert not opencv_notices(good)
    assert image_size(put(tmp_path, good))
    rng = np.random.default_rng(3)
    noticed = 0
    for trial in range(90):
        data = bytearray(good)
        length = int(rng.choice([1, 4, 40, len(good) // 8]))
        start = int(rng.integers(len(good) // 3, end - length))
        data[start : start + length] = (bytes(length), rng.bytes(length), b"")[trial % 3]
        if not opencv_notices(bytes(data)):
            continue
        noticed += 1
        path = put(tmp_path, bytes(data))
        with what_is_printed() as said:
            for look in (image_size, lambda path: read_image(path, 3)):
                with pytest.raises(InputError, match=r"x\.img"):
                    look(path)
        assert said == [b""]
    assert noticed > 10


@pytest.mark.parametrize("quality", [20, 95])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
@pytest.mark.parametrize("size", [(61, 90), (8, 8), (1, 1), (33, 2)])
def test_jpeg_pixels_are_those_of_opencv(
    size: tuple[int, int], subsampling: str, progressive: bool, quality: int, tmp_path: Path
) -> None:
    how = {"quality": quality, "progressive": progressive}
    for pixels, more in ((COLOUR, {"subsampling": subsampling}), (GREY, {})):
        data = saved(np.ascontiguousarray(pixels[: size[0], : size[1]]), "JPEG", **how, **more)
        theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(read_image(put(tmp_path, data), 3), theirs)


def test_cmyk_jpeg_is_read_as_before(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(COLOUR).convert("CMYK").save(stream, "JPEG", quality=90)
    theirs = cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(read_image(put(tmp_path, stream.getvalue()), 3), theirs)


def turned(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    settings: dict[str, Any] = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": exif}
    return saved(COLOUR, kind, **settings, **({"lossless": True} if kind == "WEBP" else {}))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_tag_never_turns_a_picture(kind: str, orientation: int, tmp_path: Path) -> None:
    path = put(tmp_path, turned(kind, orientation))
    pixels = read_image(path, 3).astype(int)
    assert pixels.shape == COLOUR.shape
    assert np.abs(pixels - COLOUR).max() <= (40 if kind == "JPEG" else 0)
    assert read_header(path).orientation == orientation


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tag_never_turns_a_grey_tiff(dtype: type, tmp_path: Path) -> None:
    scale = 257 if dtype is np.uint16 else 1
    data = saved(GREY.astype(dtype) * dtype(scale), "TIFF", tiffinfo={274: 6})
    np.testing.assert_array_equal(read_image(put(tmp_path, data), 1)[..., 0], GREY)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True, "exact": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"tiffinfo": {338: 1}}),  # already multiplied in, so stored as it is meant
        ("TIFF", {"tiffinfo": {338: 0}}),
    ],
)
def test_alpha_is_dropped_and_never_multiplied_in(kind: str, settings: dict[str, Any], tmp_path: Path) -> None:
    data = saved(np.dstack([COLOUR, ALPHA]), kind, **settings)
    np.testing.assert_array_equal(read_image(put(tmp_path, data), 3), COLOUR)


def test_grey_beside_alpha_in_a_tiff(tmp_path: Path) -> None:
    data = saved(np.dstack([GREY, ALPHA]), "TIFF")
    np.testing.assert_array_equal(read_image(put(tmp_path, data), 1)[..., 0], GREY)


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP"])
def test_of_several_pages_the_first_counts(kind: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    pages = [Image.fromarray(np.roll(COLOUR, shift, axis=0)) for shift in range(3)]
    settings = {"lossless": True} if kind == "WEBP" else {}
    pages[0].save(stream, kind, save_all=True, append_images=pages[1:], **settings)
    path = put(tmp_path, stream.getvalue())
    np.testing.assert_array_equal(read_image(path, 3), COLOUR)
    assert read_header(path).pages == 3


def test_a_thumbnail_is_no_page(tmp_path: Path) -> None:
    stream = io.BytesIO()
    small = Image.fromarray(GREY[::4, ::4].copy())
    small.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(GREY).save(stream, "TIFF", save_all=True, append_images=[small])
    assert read_header(put(tmp_path, stream.getvalue())).pages == 1


def test_white_at_zero_is_meant_at_every_depth(tmp_path: Path) -> None:
    eight = tiff([bytes([0, 10, 255])], 3, t262=0)
    sixteen = tiff([np.array([0, 10 * 257, 65535], "<u2").tobytes()], 3, t258=16, t262=0)
    for data in (eight, sixteen):
        assert read_image(put(tmp_path, data), 1)[0, :, 0].tolist() == [255, 245, 0]


@pytest.mark.parametrize("significant_bits", [12, 16])
def test_bits_that_the_file_counts_itself_need_no_setting(significant_bits: int, tmp_path: Path) -> None:
    """Packed: 000 010 7ff fff are twelve bits each."""
    path = put(tmp_path, tiff([bytes.fromhex("0000107fffff")], 4, t258=12))
    assert read_image(path, 1, significant_bits)[0, :, 0].tolist() == [0, 1, 127, 255]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff([bytes(40)], 40, t259=50000), "compressed with zstd"),
        (tiff([bytes(40)], 40, t259=34925), "compressed with LZMA"),
        (tiff([bytes(40)], 40, t259=12345), "an unknown method .TIFF compression 12345"),
        (tiff([bytes(20)], 40, t258=4), "4 bits a value"),
        (tiff([bytes(39)], 40), "strip 1: 1 bytes are missing"),
        (tiff([bytes(40)], 40)[:60], "truncated"),
    ],
)
def test_what_is_wrong_with_a_tiff_is_said(data: bytes, words: str, tmp_path: Path) -> None:
    for look in (image_size, lambda path: read_image(path, 1)):
        with pytest.raises(InputError, match=words):
            look(put(tmp_path, data))


def test_pages_that_lead_in_a_circle(tmp_path: Path) -> None:
    data = bytearray(tiff([bytes(40)], 40))
    data[-4:] = data[4:8]  # the next page is the first one
    assert read_header(put(tmp_path, bytes(data))).pages == 1


def claiming(kind: str, height: int, width: int) -> bytes:
    """A small file of this kind that says it holds a huge picture."""
    data = bytearray(saved(GREY, kind))
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
    elif kind == "PNG":
        return png_claiming(height, width)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    elif kind == "TIFF":
        return tiff([bytes(40)], width, t257=height, t278=height)
    elif kind == "WEBP":
        at = data.index(b"VP8 ") + 14
        data[at : at + 4] = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    return bytes(data)


def png_claiming(height: int, width: int) -> bytes:
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


@pytest.mark.parametrize("size", [(30_000, 30_000), (16_000, 16_000)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_a_file_that_claims_a_huge_picture_is_refused_before_decoding(
    kind: str, size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limit by the limit, below it since so few bytes can't hold so many pixels."""
    path = put(tmp_path, claiming(kind, *size))
    codec = find_codec(path.read_bytes()[:8])
    assert codec is not None
    if kind != "WEBP":  # whose sides have 14 bits
        monkeypatch.setattr(cv2, "imdecode", None)
        monkeypatch.setattr("simplejpeg.decode_jpeg", None)
    for look in (image_size, lambda path: read_image(path, 1)):
        with pytest.raises(InputError, match=r"x\.img (is too large|is truncated|is damaged|can't be decoded)"):
            look(path)


def test_the_limit_is_a_setting_and_holds_for_masks(tmp_path: Path) -> None:
    path = put(tmp_path, saved(GREY, "PNG"))
    assert image_size(path, max_pixels=GREY.size) == GREY.shape
    for look in (image_size, read_label_map, lambda path, max_pixels: read_image(path, 1, 16, max_pixels)):
        with pytest.raises(InputError, match=r"90 x 61 pixels, more than the 5,489 that data\.max_pixels"):
            look(path, max_pixels=GREY.size - 1)


def test_a_reader_counts_the_images_that_it_clips(tmp_path: Path) -> None:
    values = np.full((10, 20), 4095, np.uint16)
    whole = put(tmp_path, saved(values, "PNG"), "whole.png")
    values.flat[:2] = 4096  # 1 % of them, which is not over 1 %
    few = put(tmp_path, saved(values, "PNG"), "few.png")
    values.flat[:150] = 65535
    many = put(tmp_path, saved(values, "PNG"), "many.png")
    read = ImageReader(1, significant_bits=12)
    for path in (whole, few, many, many):
        read(path)
    counts = read.counts
    assert (counts.images, counts.clipped_images, counts.worst_share) == (4, 2, 0.75)
