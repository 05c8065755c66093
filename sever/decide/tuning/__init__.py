"""Rules chosen by out-of-fold evidence: a compact table of pixel counts, a search in it, and an honest verdict."""

from sever.decide.tuning.grid import Grid, rule_grid
from sever.decide.tuning.search import Tuning, curves, tune
from sever.decide.tuning.table import RuleTable, RuleTableRow, table_row
from sever.decide.tuning.verdict import Verdict, judge

__all__ = [
    "Grid",
    "RuleTable",
    "RuleTableRow",
    "Tuning",
    "Verdict",
    "curves",
    "judge",
    "rule_grid",
    "table_row",
    "tune",
]
