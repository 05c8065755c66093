"""JSON files, read."""

from __future__ import annotations

from sever.reading import read_json

__all__ = ["read_json"]
