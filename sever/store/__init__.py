"""Where things lie: runs, checkpoints, probability maps and tables as folders and files; knows not what they mean.

Whoever reads a table or a map starts without torch: checkpoints, which need it, are imported from where they are.
"""

from sever.reading import read_json
from sever.store.evidence import Evidence
from sever.store.labels import LabelStore
from sever.store.maps import ProbabilityStore
from sever.store.rules import read_rules, write_rules
from sever.store.runs import Run, find_run, fingerprint

__all__ = [
    "Evidence",
    "LabelStore",
    "ProbabilityStore",
    "Run",
    "find_run",
    "fingerprint",
    "read_json",
    "read_rules",
    "write_rules",
]
