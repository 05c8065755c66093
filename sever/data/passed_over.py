"""What a folder of images holds that is not read: thumbnails of other programs, kinds of images unknown here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

# Folders that NAS boxes, file managers and archivers leave beside the images, in small letters.
_FOREIGN_FOLDERS = frozenset(
    {"@eadir", "#recycle", "@recycle", "$recycle.bin", "__macosx", "lost+found", "system volume information"}
    | {"thumbnails", "thumbs", "_thumbs", "thumb", "@thumb", "_thumbnails"}
)
# Kinds of images, of which those that are read are taken out.
_KINDS = frozenset(
    {".arw", ".avif", ".bif", ".bmp", ".cr2", ".cr3", ".czi", ".dcm", ".dng"}
    | {".exr", ".gif", ".hdr", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe"}
    | {".jpeg", ".jpg", ".jxl", ".nef", ".orf", ".pbm", ".pcx", ".pfm", ".pgm"}
    | {".png", ".pnm", ".ppm", ".psd", ".raw", ".rw2", ".tga", ".tif", ".tiff"}
    | {".webp"}
)


@dataclass(frozen=True)
class PassedOver:
    """Folders, as seen from the one that was searched, and how many files of each kind (suffix in small letters)."""

    folders: tuple[str, ...] = ()
    kinds: tuple[tuple[str, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.folders or self.kinds)

    def __str__(self) -> str:
        files = ", ".join(f"{count} {kind}" for kind, count in self.kinds)
        said = [f"{files} (not read here; save them as PNG)"] if files else []
        return "; ".join(said + ([f"the folders {', '.join(self.folders)}"] if self.folders else []))


def is_passed_over(folder: str, beside: Collection[str]) -> bool:
    """Whether a folder of this name, with those `beside` it, holds no images to look at.

    Hidden ones do not, nor thumbnails; and masks beside images are labels.
    """
    return folder.startswith(".") or _is_foreign(folder, beside)


def has_no_labels(folder: str) -> bool:
    """Whether a folder of this name holds no labels to look at: hidden, or other programs' own."""
    return folder.startswith(".") or folder.lower() in _FOREIGN_FOLDERS


def find_passed_over(folder: Path, read: tuple[str, ...]) -> PassedOver:
    """What is below `folder` and left alone, but for hidden things; `read` are the suffixes of images that are read."""
    foreign: list[str] = []
    kinds: Counter[str] = Counter()
    for current, folders, names in os.walk(folder):
        here = Path(current)
        foreign += [(here / name).relative_to(folder).as_posix() for name in folders if _is_foreign(name, folders)]
        folders[:] = [name for name in folders if not is_passed_over(name, folders)]
        suffixes = [os.path.splitext(name)[1].lower() for name in names if not name.startswith(".")]  # noqa: PTH122
        kinds.update(suffix for suffix in suffixes if suffix in _KINDS and suffix not in read)
    return PassedOver(tuple(sorted(foreign)), tuple(sorted(kinds.items())))


def _is_foreign(folder: str, beside: Collection[str]) -> bool:
    return folder.lower() in _FOREIGN_FOLDERS or (folder == "masks" and "images" in beside)
