"""The contenders by name."""

from __future__ import annotations

from ..task import Contender
from .plain import train_plain
from .with_sever import train_sever

CONTENDERS: dict[str, Contender] = {"plain": train_plain, "sever": train_sever}
