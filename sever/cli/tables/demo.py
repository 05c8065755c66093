"""What a demo found, stage by stage, and what to type next."""

from __future__ import annotations

from sever.cli.tables.blend import render_comparison
from sever.cli.tables.evaluation import render_evaluation
from sever.cli.tables.found_in_words import found_in_words
from sever.cli.tables.leaderboard import render_course
from sever.cli.tables.pseudo_labels import render_pseudo
from sever.cli.tables.selection import render_selection
from sever.cli.tables.tuning import render_tuning
from sever.pipeline.demo import DemoResults


def render_demo(results: DemoResults) -> str:
    stages = {
        "Out of fold: the models and their blend": render_comparison(results.comparison),
        "Rules, chosen on some folds and judged on the others": render_tuning(results.tuning),
        "Which two to submit": render_selection(results.selection),
        "Confident labels of the blend for the test images, to train on next (section `pseudo` of an experiment)": (
            render_pseudo(results.pseudo_labels, results.output)
        ),
    }
    return "\n".join(
        [
            *(f"{title}\n{text}\n" for title, text in stages.items()),
            f"On the {results.evaluation['images']} test images, which no model above has seen:",
            render_evaluation(results.evaluation),
            render_course(results.submissions),
            f"{found_in_words(results.evaluation)}\n",
            f"{results.seconds:.0f} s in all.",
            f"In {results.output}/: report.html and sheet.png, worth a look; submission.csv, scores.json, images.csv.",
            "",
            "Next, on your own images (docs/howto.md shows how to lay them out):",
            "  .venv/bin/sever plan data/mine --hours 1 -o mine.yml",
            "  .venv/bin/sever train -c mine.yml",
            "  .venv/bin/sever predict -r saved/planned --images FOLDER -o out",
        ]
    )
