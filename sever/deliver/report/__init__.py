"""One self-contained HTML page about a model's evidence: it shows the numbers it is given, and computes none."""

from sever.deliver.report.embedded import FORM, read_numbers
from sever.deliver.report.page import Picture, render_page
from sever.deliver.report.pictures import draw_picture
from sever.deliver.report.words import rules_in_words, verdict_in_words

__all__ = ["FORM", "Picture", "draw_picture", "read_numbers", "render_page", "rules_in_words", "verdict_in_words"]
