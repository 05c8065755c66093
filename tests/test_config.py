"""Settings: a wrong one is a line that says where and what is right; YAML and models round-trip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sever.config import dump_config, json_schema, load_config, parse_config
from sever.errors import InputError
from sever.reference import reference

GOOD = {"name": "x", "data": {"root": "d"}}

FAULTS = [
    # what is wrong, what the message must name
    ({"data": {"root": "d", "laout": "auto"}}, ["data.laout", "did you mean `layout`"]),
    ({"modle": {}}, ["`modle`", "`model`"]),
    ({"train": {"epochs": 0}}, ["train.epochs", "0", "greater than or equal to 1"]),
    ({"train": {"precision": "fp8"}}, ["train.precision", "'fp8'", "'auto', 'bf16', 'fp16' or 'no'"]),
    ({"folds": {"scheme": "kfold", "count": 3, "fold": 3}}, ["fold 3 does not exist", "0..2"]),
    ({"predict": {"tile": [64, 64], "tile_overlap": 32}}, ["tile", "more than twice"]),
    ({"name": "a/b"}, ["`name`", "'a/b'"]),
    ({"data": {}}, ["`data.root` is missing"]),
    ({"loss": {"name": "dice_bce"}}, ["loss.name", "bce_dice"]),
    ({"rules": {"min_pixels": "many"}}, ["rules.min_pixels", "'many'"]),
    ({"train": 5}, ["`train`", "5", "section"]),
    ({"rules": {"min_pixels": [1, -2]}}, ["`rules.min_pixels.1` is -2"]),
    ({"data": {"root": "d"}, "augment": {"crop": [256, 0]}}, ["augment.crop", "0"]),
]


@pytest.mark.parametrize(("fault", "named"), FAULTS)
def test_fault_names_place_value_and_cure(fault: dict[str, object], named: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(GOOD | fault, source="x.yml")
    message = str(caught.value)
    assert message.startswith("x.yml: ")
    assert [part for part in named if part not in message] == []


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_config({"data": {"root": "d"}, "train": {"epochs": -1, "seeed": 3}}, source="x.yml")
    assert len(str(caught.value).splitlines()) == 3  # name missing, epochs, seeed


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", ""])
def test_file_that_holds_no_settings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.yml"):
        load_config(path)


@pytest.mark.parametrize("text", ["train: {epochs: 3}\ntrain: {batch_size: 4}\n", "train: {epochs: 3, epochs: 4}\n"])
def test_key_that_stands_twice_is_refused_in_place_of_the_first_being_lost(tmp_path: Path, text: str) -> None:
    path = tmp_path / "twice.yml"
    path.write_text("name: x\ndata: {root: d}\n" + text)
    with pytest.raises(InputError, match=r"twice\.yml .*`(train|epochs)` appears twice.*line [34]"):
        load_config(path)


def test_each_fault_is_told_once_and_without_names_of_types() -> None:
    with pytest.raises(InputError) as caught:
        parse_config(GOOD | {"rules": {"min_pixels": [1, -2]}, "folds": 3}, source="x.yml")
    assert len(str(caught.value).splitlines()) == 2
    assert "constrained" not in str(caught.value)
    assert "FoldSettings" not in str(caught.value)


def test_precision_no_needs_no_quotes(tmp_path: Path) -> None:
    path = tmp_path / "full.yml"
    path.write_text("name: x\ndata: {root: d}\ntrain: {precision: no}\n")  # which YAML reads as false
    config = load_config(path)
    assert config.train.precision == "no"
    path.write_text(dump_config(config))
    assert load_config(path) == config


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yml"):
        load_config(tmp_path / "nowhere.yml")


def test_dumped_configuration_reads_back_the_same(tmp_path: Path) -> None:
    config = parse_config(GOOD | {"rules": {"min_pixels": [1, 2]}, "augment": {"crop": None}}, source="x")
    path = tmp_path / "config.yml"
    path.write_text(dump_config(config))
    assert load_config(path) == config


def test_override_wins_over_the_file_and_none_does_not(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(GOOD | {"train": {"seed": 3, "epochs": 7}}))
    config = load_config(path, {"train.seed": 5, "train.epochs": None, "predict.flips": ("width",)})
    assert (config.train.seed, config.train.epochs, config.predict.flips) == (5, 7, ("width",))


def test_schema_describes_every_setting() -> None:
    schema = json_schema()
    sections = [schema, *(part for part in schema["$defs"].values())]
    undescribed = [
        name
        for section in sections
        for name, field in section["properties"].items()
        if "description" not in field and "$ref" not in field
    ]
    assert undescribed == []


def test_a_bad_configuration_is_told_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text("name: x\n")
    script = (
        "import sys\nfrom sever.cli import main\n"
        f"sys.argv = ['sever', 'train', '-c', {str(path)!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n"
        "    print(stop.code, sorted({'torch', 'pandas', 'cv2', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2 []"
    assert "bad.yml: setting `data` is missing" in done.stderr
    assert "Traceback" not in done.stderr


ROOT = Path(__file__).parents[1]
EXPERIMENTS = [path for path in (ROOT / "experiments").rglob("*.yml") if path.parent.name in ("experiments", "chain")]
SHIPPED = sorted(EXPERIMENTS)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_experiment_we_ship_is_valid_and_named_as_its_file(path: Path) -> None:
    assert load_config(path).name == path.stem


def test_reference_page_is_up_to_date() -> None:
    page = Path(__file__).parents[1] / "docs" / "reference.md"
    assert page.read_text(encoding="utf-8") == reference(), "run `make docs`"


AREAS_OF_2019 = (600, 600, 1000, 2000)


def test_the_areas_of_2019_are_those_of_its_experiments_and_of_no_folder() -> None:
    everything = [*(ROOT / "experiments").rglob("severstal-2019-*.yml"), *(ROOT / "experiments").rglob("*-pseudo.yml")]
    experiments = [load_config(path) for path in everything if "ensembles" not in path.parts]
    assert len(experiments) >= 11
    segmenters = [config for config in experiments if config.model.task == "segment"]
    assert {config.rules.min_pixels for config in segmenters} == {AREAS_OF_2019}
    assert parse_config({"name": "x", "data": {"root": "."}}, "test").rules.min_pixels == 0
