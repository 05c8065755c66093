"""Values and colours of mask pictures as people write them, to one spelling; knows no classes and no files."""

from __future__ import annotations

import re
from typing import Any

# What a pixel that nobody judged is in the true masks of every class: neither 0 nor 1, so that none can take it for
# either unawares.
IGNORED = 255

_PLAIN = re.compile(r"[0-9]{1,5}|#[0-9a-f]{6}", re.ASCII)
_PARTS = re.compile(r"\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*", re.ASCII)


def plain_value(value: Any) -> str:
    """A number as its digits, a colour (#rrggbb, "r,g,b" or a list of three) as #rrggbb. Raises ValueError."""
    text = str(value).strip("[]() ").lower() if isinstance(value, (int, str, list, tuple)) else ""
    if match := _PARTS.fullmatch(text):
        parts = [int(part) for part in match.groups()]
        text = "#{:02x}{:02x}{:02x}".format(*parts) if max(parts) <= 255 else text
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"a mask's value is a number from 0 to 99999, or a colour as #rrggbb or r,g,b, not {value!r}")
    return text if text.startswith("#") else str(int(text))
