"""`sever demo`: the main job on embedded data, from nothing to scored and drawn masks."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from sever.config import ExperimentConfig
from sever.data.synthetic import SynthSettings
from sever.errors import InputError
from sever.pipeline.evaluate import Truth, evaluate_submission, render
from sever.pipeline.inspection import How
from sever.pipeline.predict import Source, predict_images
from sever.pipeline.progress import tell
from sever.pipeline.synth import synthesize
from sever.pipeline.train import train_experiment

# Half the competition's height and width, to learn something in minutes; classes as often as there.
STRIP = SynthSettings(train=1000, test=150, height=128, width=800, seed=2019)
MARKER = ".sever-demo"


def run_demo(config: ExperimentConfig, output: Path, device: str) -> str:
    """Make strip, train on it, predict the held-out images, score and draw them; returns what to print at the end.

    Everything lands in `output`, replacing an earlier demo's results. Raises InputError where `output` holds
    anything else.
    """
    start = time.monotonic()
    _clear(output)
    data = output / "data"
    tell(f"1/4  making {STRIP.train} images of synthetic steel strip to learn from, and {STRIP.test} to be judged on")
    synthesize(data, STRIP)
    tell(f"2/4  training {config.model.architecture} on {config.model.encoder}")
    config = config.model_copy(update={"data": config.data.model_copy(update={"root": data})})
    run = train_experiment(config, output / "saved", device)
    tell("3/4  predicting the test images")
    predict_images(run.folder, Source(images=None, data=data), output, "combined", How(device))
    tell("4/4  scoring and drawing")
    truth = Truth(data, labels=data / "test_labels.csv")
    evaluation = evaluate_submission(output / "submission.csv", truth, output)
    gain = evaluation["dice"] - evaluation["dice_all_empty"]
    return "\n".join(
        [
            render(evaluation),
            f"Mean Dice {evaluation['dice']:.4f}; an empty submission scores {evaluation['dice_all_empty']:.4f} "
            f"({gain:+.4f}); {time.monotonic() - start:.0f} s in all.",
            f"In {output}/: submission.csv, scores.json, images.csv, and sheet.png, which is worth a look.",
            "",
            "Next, on your own images (docs/howto.md says how to lay them out):",
            "  set data.root in experiments/lite0-unet.yml, then",
            "  .venv/bin/sever train -c experiments/lite0-unet.yml",
            "  .venv/bin/sever predict -r saved/lite0-unet --images FOLDER -o out",
        ]
    )


def _clear(output: Path) -> None:
    """An earlier demo makes way; anybody else's files don't."""
    if output.exists() and any(output.iterdir()) and not (output / MARKER).exists():
        raise InputError(f"{output} holds files that no demo made; give another folder with -o")
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (output / MARKER).touch()
