"""Image files: every kind and depth reads right, and no cut or foreign file passes for an image."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from sever.data.images import image_size, list_images, read_image, read_label_map
from sever.errors import InputError

RNG = np.random.default_rng(7)
# Smooth, so that lossy files stay near; 37 x 53 so that rows need padding in BMP.
COLOUR = cv2.GaussianBlur(RNG.integers(0, 256, (37, 53, 3)).astype(np.uint8), (0, 0), 2)
GREY = COLOUR[..., 0].copy()
LOSSLESS = [".png", ".bmp", ".tif", ".tiff"]
KINDS = [".jpg", *LOSSLESS]


def write(path: Path, pixels: np.ndarray) -> Path:
    """OpenCV's order of colours is blue, green, red."""
    good, data = cv2.imencode(path.suffix.lower(), pixels)
    assert good
    path.write_bytes(data.tobytes())
    return path


def png(height: int, width: int, depth: int, colour_type: int, rows: list[bytes], extra: bytes = b"") -> bytes:
    """A PNG by hand, for the kinds that OpenCV can't write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    palette = chunk(b"PLTE", extra) if extra else b""
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_colours_come_as_rgb(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", COLOUR)
    np.testing.assert_array_equal(read_image(path, 3), COLOUR[..., ::-1])
    assert image_size(path) == (37, 53)


def test_jpeg_is_near_and_in_the_right_order(tmp_path: Path) -> None:
    red = np.zeros((16, 24, 3), np.uint8)
    red[..., 2] = 200
    pixels = read_image(write(tmp_path / "x.jpg", red), 3)
    assert pixels[..., 0].min() > 190
    assert pixels[..., 1:].max() < 10


@pytest.mark.parametrize("suffix", KINDS)
def test_grey_files_give_one_or_three_channels(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", GREY)
    one, three = read_image(path, 1), read_image(path, 3)
    assert one.shape == (37, 53, 1)
    assert three.shape == (37, 53, 3)
    assert one.dtype == three.dtype == np.uint8
    for channel in range(3):
        np.testing.assert_array_equal(three[..., channel], one[..., 0])
    assert abs(one[..., 0].astype(int) - GREY).max() <= (12 if suffix == ".jpg" else 0)


def test_grey_of_colour_is_luminance(tmp_path: Path) -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    # 0.114 of blue, 0.587 of green, 0.299 of red
    assert read_image(write(tmp_path / "x.png", pixels), 1)[0, :, 0].tolist() == [29, 150, 76, 255]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    ("bits", "stored", "read"),
    [
        (16, [0, 255, 256, 65535], [0, 0, 1, 255]),
        (12, [0, 16, 4095, 60000], [0, 1, 255, 255]),  # what is beyond 12 bits is white, not wrapped to black
        (8, [0, 1, 255, 256], [0, 1, 255, 255]),
    ],
)
def test_16_bits(tmp_path: Path, suffix: str, bits: int, stored: list[int], read: list[int]) -> None:
    path = write(tmp_path / f"x{suffix}", np.array([stored], np.uint16))
    assert read_image(path, 1, significant_bits=bits)[0, :, 0].tolist() == read
    assert image_size(path) == (1, 4)


def test_16_bit_colour_keeps_the_order(tmp_path: Path) -> None:
    pixels = COLOUR.astype(np.uint16) * 256 + 17
    np.testing.assert_array_equal(read_image(write(tmp_path / "x.png", pixels), 3), COLOUR[..., ::-1])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_dropped(tmp_path: Path, suffix: str) -> None:
    alpha = np.full((37, 53, 1), 40, np.uint8)
    path = write(tmp_path / f"x{suffix}", np.concatenate([COLOUR, alpha], axis=2))
    np.testing.assert_array_equal(read_image(path, 3), COLOUR[..., ::-1])
    assert read_image(path, 1).shape == (37, 53, 1)


def test_grey_with_alpha(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(1, 2, 8, 4, [bytes([10, 255, 200, 0])]))
    assert read_image(path, 1)[0, :, 0].tolist() == [10, 200]


def test_palette_images_show_their_colours(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(1, 2, 8, 3, [bytes([1, 0])], extra=bytes([0, 0, 0, 250, 20, 30])))
    assert read_image(path, 3)[0].tolist() == [[250, 20, 30], [0, 0, 0]]


@pytest.mark.parametrize("name", ["größe.png", "钢 板.jpg", "UPPER.PNG", "x.JPEG", "x.TIF"])
def test_names_of_all_kinds(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, GREY)
    assert image_size(path) == (37, 53)
    assert read_image(path, 1).shape == (37, 53, 1)
    assert list_images(tmp_path) == [path]


def test_the_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(write(tmp_path / "y.png", COLOUR).read_bytes())
    assert image_size(path) == (37, 53)
    np.testing.assert_array_equal(read_image(path, 3), COLOUR[..., ::-1])


@pytest.mark.parametrize("cut", [1, 2, 0.98, 0.9, 0.5, 0.2, 0.05, 10.0, 3.0])
@pytest.mark.parametrize("suffix", KINDS)
def test_a_cut_file_is_never_an_image(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, cut: float
) -> None:
    """Whole numbers: bytes missing at the end; up to 1: the share that is left; above: bytes that are left."""
    whole = write(tmp_path / f"whole{suffix}", COLOUR).read_bytes()
    left = len(whole) - cut if isinstance(cut, int) else (cut if cut > 1 else len(whole) * cut)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(whole[: int(left)])
    for read in (image_size, lambda path: read_image(path, 3)):
        with pytest.raises(InputError, match=rf"x\{suffix}"):
            read(path)
    assert capfd.readouterr().err == ""


def test_a_cut_jpeg_with_a_preview_inside(tmp_path: Path) -> None:
    """The preview's own end marker must not pass for the end of the file."""
    preview = cv2.imencode(".jpg", GREY)[1].tobytes()
    whole = cv2.imencode(".jpg", COLOUR)[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(preview) + 2) + preview
    data = whole[:2] + segment + whole[2:]
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    assert image_size(path) == (37, 53)
    path.write_bytes(data[:-30])
    with pytest.raises(InputError, match="truncated"):
        image_size(path)


@pytest.mark.parametrize("suffix", KINDS)
def test_something_after_the_end_does_no_harm(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", GREY)
    path.write_bytes(path.read_bytes() + b"\0" * 5000)
    assert image_size(path) == (37, 53)
    assert read_image(path, 1).shape == (37, 53, 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"this is not an image\n" * 20, "neither JPEG, PNG, BMP, TIFF nor WebP"),
        (b"GIF89a" + b"\1" * 100, "neither JPEG, PNG, BMP, TIFF nor WebP"),
        (b"\xff\xd8" + b"\xff" * 50, "truncated"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50 + b"IEND\xaeB`\x82", "truncated"),
        (b"BM" + b"\0" * 60, "damaged"),
    ],
)
def test_what_is_no_image(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    for read in (image_size, lambda path: read_image(path, 1)):
        with pytest.raises(InputError, match=words) as raised:
            read(path)
        assert str(path) in str(raised.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.png"):
        image_size(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match=r"nowhere\.png"):
        read_image(tmp_path / "nowhere.png", 1)


def test_damaged_inside(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "x.png", COLOUR).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 50] = bytes(50)
    (tmp_path / "x.png").write_bytes(data)
    looks: list[Callable[[Path], object]] = [image_size, partial(read_image, channels=3)]
    for look in looks:
        with pytest.raises(InputError, match="damaged"):
            look(tmp_path / "x.png")


def test_damage_to_a_png_note_that_no_pixel_depends_on(tmp_path: Path) -> None:
    note = struct.pack(">I", 3) + b"tEXtabc" + b"\0\0\0\0"  # the last four are the checksum, and wrong
    data = write(tmp_path / "x.png", COLOUR).read_bytes()
    (tmp_path / "x.png").write_bytes(data[:33] + note + data[33:])
    assert image_size(tmp_path / "x.png") == COLOUR.shape[:2]
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", 3), COLOUR[..., ::-1])


def test_sound_file_of_pixels_that_make_no_sense(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(2, 4, 8, 0, [bytes(4)]))  # one row of two, with a good checksum
    assert image_size(path) == (2, 4)
    with pytest.raises(InputError, match="can't be decoded"):
        read_image(path, 1)


def test_pixels_that_are_no_8_or_16_bit_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tif", GREY.astype(np.float32))
    for read in (image_size, lambda path: read_image(path, 1)):
        with pytest.raises(InputError, match="float32"):
            read(path)


def test_two_channels_are_no_choice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 or 3"):
        read_image(write(tmp_path / "x.png", GREY), 2)


def test_list_is_deep_sorted_and_plain(tmp_path: Path) -> None:
    for name in ("b/x.png", "a/z.PNG", "a/b/y.jpg", "c.bmp", "a.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name, GREY)
    for name in ("notes.txt", "a/._z.png", "Thumbs.db"):
        (tmp_path / name).write_text("no image")
    (tmp_path / ".hidden").mkdir()
    write(tmp_path / ".hidden" / "x.png", GREY)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["a.tif", "a/b/y.jpg", "a/z.PNG", "b/x.png", "c.bmp"]


def test_list_follows_links_to_folders(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    write(tmp_path / "real" / "x.png", GREY)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert [path.name for path in list_images(tmp_path / "data")] == ["x.png"]


LABELS = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_label_map(tmp_path: Path, dtype: type) -> None:
    np.testing.assert_array_equal(read_label_map(write(tmp_path / "x.png", LABELS.astype(dtype))), LABELS)


def test_label_map_as_three_equal_channels(tmp_path: Path) -> None:
    path = write(tmp_path / "x.png", np.dstack([LABELS] * 3))
    np.testing.assert_array_equal(read_label_map(path), LABELS)


def test_label_map_with_a_palette_gives_numbers_not_colours(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    colours = bytes([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    path.write_bytes(png(2, 4, 8, 3, [bytes(row) for row in LABELS.tolist()], extra=colours))
    np.testing.assert_array_equal(read_label_map(path), LABELS)
    # Two bits a pixel: 0 1 2 3 is 00 01 10 11.
    path.write_bytes(png(2, 4, 2, 3, [bytes([0b00011011]), bytes([0b11100100])], extra=colours))
    np.testing.assert_array_equal(read_label_map(path), LABELS)


def test_label_map_of_one_bit_holds_0_and_1(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(1, 8, 1, 0, [bytes([0b01100001])]))
    assert read_label_map(path).tolist() == [[0, 1, 1, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("name", "pixels", "words"), [("x.png", COLOUR, "colour picture"), ("x.bmp", GREY, "is not a PNG")]
)
def test_what_is_no_label_map(tmp_path: Path, name: str, pixels: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_label_map(write(tmp_path / name, pixels))


def test_cut_label_map(tmp_path: Path) -> None:
    path = write(tmp_path / "x.png", GREY)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="truncated"):
        read_label_map(path)
