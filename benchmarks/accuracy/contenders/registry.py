"""The contenders by name."""

from __future__ import annotations

from ..task import Contender
from .nnunet import train_nnunet
from .plain import train_plain
from .planned import train_planned
from .with_sever import train_sever

CONTENDERS: dict[str, Contender] = {
    "plain": train_plain,
    "sever": train_sever,
    "plan": train_planned,
    "nnunet": train_nnunet,
}
