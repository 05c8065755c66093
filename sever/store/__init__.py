"""Where things lie: runs, checkpoints, probability maps and tables as folders and files; knows not what they mean."""

from sever.reading import read_json
from sever.store.checkpoints import (
    fingerprint,
    load_checkpoint,
    load_weights_file,
    save_checkpoint,
    save_weights,
)
from sever.store.evidence import Evidence
from sever.store.labels import LabelStore
from sever.store.maps import ProbabilityStore
from sever.store.rules import read_rules, write_rules
from sever.store.runs import Run, find_run

__all__ = [
    "Evidence",
    "LabelStore",
    "ProbabilityStore",
    "Run",
    "find_run",
    "fingerprint",
    "load_checkpoint",
    "load_weights_file",
    "read_json",
    "read_rules",
    "save_checkpoint",
    "save_weights",
    "write_rules",
]
