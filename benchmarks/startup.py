"""How long a command takes until it begins to work: `sever COMMAND --help`, and the import of what it then needs; and
how soon a model answers: loaded, and with one image predicted into files, as a bundle and as the run it was made of.

    python benchmarks/startup.py
    python benchmarks/startup.py --run saved/mine --bundle model.sever --image strip.png

Commands that only read stored maps, tables and records need no torch; `predict` with a trained run does. Each is a
process of its own, started several times in turn; processor seconds of the process, which other work hardly moves.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import describe_machine, make_parser, parse, print_ratio, print_table
from export import small_run

from sever.pipeline.export.make import ExportOptions, export_model

# What a command imports once its words are understood.
NEEDED = {
    "blend": "sever.pipeline.blend.combine",
    "tune": "sever.pipeline.tune",
    "select": "sever.pipeline.select.choose",
    "leaderboard": "sever.pipeline.leaderboard",
    "report": "sever.pipeline.report.write",
    "predict": "sever.pipeline.predict",
    "train": "sever.pipeline.train.starting",
}


def seconds_of(*words: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


LOAD = "import sever, sys; sever.load(sys.argv[1], device='cpu')"


def show_models(times: int, run: Path, bundle: Path, image: Path, folder: Path) -> None:
    """Processor and wall seconds of whole processes, from the start to the end of the first answer."""
    seconds: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for turn in range(times):
        for name, model in (("bundle", bundle), ("run", run)):
            out = folder / f"{name}-{turn}"
            words = {
                "sever.load": ("-c", LOAD, str(model)),
                "sever predict": ("-m", "sever", "predict", "-r", str(model), "--images", str(image), "-o", str(out)),
            }
            for what, line in words.items():
                start = time.perf_counter()
                taken = seconds_of(*line)
                seconds.setdefault((what, name), []).append((taken, time.perf_counter() - start))
    medians = {key: np.median(np.array(found), axis=0) for key, found in seconds.items()}
    rows = [(*key, f"{processor:.2f}", f"{wall:.2f}") for key, (processor, wall) in medians.items()]
    print_table(("what", "of a", "processor, s", "wall, s"), rows)
    saved = medians["sever.load", "run"][0] / medians["sever.load", "bundle"][0]
    print(f"loading a run takes {saved:.2f} times as long as loading its bundle")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--image", type=Path)
    options = parse(parser, {"times": 1})
    print(describe_machine())
    helps: dict[str, list[float]] = {name: [] for name in NEEDED}
    works: dict[str, list[float]] = {name: [] for name in NEEDED}
    for _ in range(options.times):
        for name, module in NEEDED.items():
            helps[name].append(seconds_of("-m", "sever", name, "--help"))
            works[name].append(seconds_of("-c", f"import sever.cli, {module}"))
    medians = {name: (float(np.median(helps[name])), float(np.median(works[name]))) for name in NEEDED}
    rows = [(name, f"{shown:.2f}", f"{ready:.2f}") for name, (shown, ready) in medians.items()]
    print_table(("command", "--help, s", "ready to work, s"), rows)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run, bundle = options.run or small_run(folder), options.bundle or folder / "model.sever"
        if options.bundle is None:
            export_model(run, bundle, ExportOptions(images=4, backends=("onnx",)))
        image = options.image or min((folder / "data" / "train_images").iterdir())
        show_models(options.times, run, bundle, image, folder)
    print_ratio(medians["train"][1] / medians["tune"][1], "start of train, with torch, over that of tune")


if __name__ == "__main__":
    main()
