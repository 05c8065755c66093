"""`sever gate`: the soft gate's smallest area against the gate's answer, alone or with the images of a candidate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sever.decide.gate import soft_min_pixels
from sever.decide.report.counts import ReportCounts
from sever.decide.report.numbers import GATE_FACTORS, gate_numbers
from sever.decide.rules import resolve_rules
from sever.deliver.charts import GatePanel, draw_gate
from sever.errors import InputError
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.report.write import open_source
from sever.progress import meter

AREAS_2019 = (600, 1000, 2000)  # of classes 1 and 2, of 3 and of 4, as in experiments/severstal-2019-*.yml


def draw_plain_gate(output: Path, min_pixels: Sequence[int], factors: Sequence[float]) -> None:
    """A panel for each smallest area; by default those of 2019."""
    areas = list(dict.fromkeys(min_pixels or AREAS_2019))
    panels = [GatePanel(f"t0 = {area} pixels", area) for area in areas]
    draw_gate(output, panels, factors or GATE_FACTORS, soft_min_pixels)


def draw_gate_of(path: Path, output: Path, factors: Sequence[float], how: InferenceOptions) -> None:
    """A panel a class, with a dot for each image that the class is drawn in: before the gate and the smallest area.

    Raises InputError for what has no gate.
    """
    source = open_source(path, how)
    counted = ReportCounts(resolve_rules(source.rules, source.table.num_classes))
    with meter("gate", len(source.table)) as progress:
        for seen in source.seen():
            counted.add(seen)
            progress.advance()
    panels = []
    positive_nc = counted.sheet.is_positive()
    for index, name in enumerate(source.table.class_names):
        numbers = gate_numbers(counted, index, positive_nc[:, index])
        if numbers is None:
            raise InputError(f"{path} has no gate: nothing in it labels images; blend it with a classifier")
        area = max(1, numbers["min_pixels"])
        panels.append(GatePanel(f"{name}, t0 = {area} pixels", area, numbers["dots"]))
    given = [counted.rules.gate_factor] if counted.rules.gate_kind == "soft" else []
    draw_gate(output, panels, factors or sorted({*GATE_FACTORS, *given}), soft_min_pixels)
