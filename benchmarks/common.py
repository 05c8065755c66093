"""What the benchmarks share: the machine in two lines, a clock, tables, data, and the one line with the ratio.

It imports no torch, since every process that a benchmark of plain arrays starts would import it too.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from sever.data.synthetic import SynthSettings, write_dataset

CPU_FILE = Path("/proc/cpuinfo")
# What computes in bf16, the faster first, as Linux names it; without one of them bf16 is slower than fp32.
BF16_UNITS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16"}
FEW_IMAGES = 20
# Of a model that costs nothing, for --quick.
QUICK_ENCODER = "tu-mobilenetv3_small_050"


@dataclass(frozen=True)
class Clock:
    """Seconds of the wall clock, and of all processors in this process, which other work hardly moves."""

    wall: float
    processor: float

    @staticmethod
    def now() -> Clock:
        return Clock(time.perf_counter(), time.process_time())

    def since(self) -> Clock:
        now = Clock.now()
        return Clock(now.wall - self.wall, now.processor - self.processor)


def make_parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds, to see that it runs; its figures are noise"
    )
    return parser


def parse(parser: argparse.ArgumentParser, quick: Mapping[str, object]) -> argparse.Namespace:
    """The options; with --quick, `quick` holds the defaults of those that weren't given."""
    if parser.parse_known_args()[0].quick:
        parser.set_defaults(**quick)
    return parser.parse_args()


def describe_machine() -> str:
    """Processor, cores, bf16 units and torch: what the figures depend on."""
    info = CPU_FILE.read_text(encoding="utf-8") if CPU_FILE.is_file() else ""
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info.splitlines())}
    flags = fields.get("flags", "").split()
    units = [name for flag, name in BF16_UNITS.items() if flag in flags]
    name = fields.get("model name") or platform.processor() or platform.machine()
    threads = f"{sys.modules['torch'].get_num_threads()} threads, " if "torch" in sys.modules else ""
    lines = [
        f"{name}, {os.cpu_count()} cores, {threads}torch {version('torch')}",
        f"bf16 units: {', '.join(units) or ('none' if flags else 'unknown')}",
    ]
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5:
        lines.append(f"NOT QUIET: load average {os.getloadavg()[0]:.1f} from other work; trust the ratio only")
    return "\n".join(lines)


def median_processor(times: Sequence[Clock]) -> float:
    return float(np.median([time.processor for time in times]))


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns side by side: words to the left, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        first, *others = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join((first, *others)))


def print_ratio(ratio: float, meaning: str, at_least: float | None = None) -> None:
    """The line that every benchmark ends with; it says whether the claim, if there is one, holds here."""
    claim = "" if at_least is None else f"; claim: at least {at_least:g}, {'holds' if ratio >= at_least else 'MISSED'}"
    print(f"ratio {ratio:.2f}  ({meaning}{claim})")


def write_strip(root: Path, images: int, height: int, width: int, seed: int = 0) -> Path:
    """A synthetic data set whose classes are about equally frequent; a few images are not worth starting processes."""
    workers = 1 if images <= FEW_IMAGES else 0
    return write_dataset(root, SynthSettings(images, 1, height, width, seed, "balanced", workers=workers))
