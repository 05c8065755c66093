"""Images that show the same piece of steel: found by their pixels alone; knows no labels, folds or file layouts."""

from sever.data.duplicates.alignment import TURNS, Alignment, align
from sever.data.duplicates.find import Duplicate, find_duplicates
from sever.data.duplicates.grouping import group_numbers
from sever.data.duplicates.overlay import lay_on

__all__ = ["TURNS", "Alignment", "Duplicate", "align", "find_duplicates", "group_numbers", "lay_on"]
