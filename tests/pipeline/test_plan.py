"""Plans: each choice follows from a number, the same numbers give the same page, and the page is an experiment."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sever.cli.application import app
from sever.config import load_config
from sever.data.fingerprint import ClassFacts, Fingerprint
from sever.data.synthetic import SynthSettings
from sever.errors import InputError
from sever.pipeline.plan.candidates import (
    DECODERS,
    ENCODER,
    ENOUGH_STEPS,
    SMALLEST_BATCH,
    SPARE_SHARE,
    VALIDATION_SHARE,
    Candidate,
    PlannedNetwork,
    name_of_small,
    needs_small,
    networks,
    pick_candidate,
    steps_within,
    with_fitting_batch,
)
from sever.pipeline.plan.choices import as_values, crop_of, data_choices, time_choices
from sever.pipeline.synth import synthesize

PIT = ClassFacts("pit", images=50, area_low=40, area_median=100, spot_median=30, spot_side=9)
PLATES = Fingerprint(
    images=1000,
    clean_images=500,
    smallest=(200, 200),
    largest=(200, 200),
    commonest=(200, 200),
    grey=True,
    grain=3,
    classes=(PIT,),
    overlap_images=0,
    groups=None,
)
STRIP = replace(PLATES, smallest=(256, 1600), largest=(256, 1600), commonest=(256, 1600))


def values_of(fingerprint: Fingerprint, offline: bool = True) -> dict[str, dict[str, object]]:
    return as_values(data_choices(fingerprint, offline, workers=1))


@pytest.mark.parametrize(
    ("fingerprint", "crop"),
    [
        (PLATES, None),
        (replace(PLATES, largest=(256, 256)), None),
        (replace(PLATES, largest=(257, 256), commonest=(257, 256)), (256, 256)),
        (STRIP, (256, 416)),
        (replace(STRIP, largest=(1600, 256), commonest=(1600, 256)), (416, 256)),
        (replace(PLATES, smallest=(20, 30), largest=(400, 630), commonest=(30, 300)), (32, 288)),
    ],
)
def test_small_images_are_seen_whole_and_large_ones_in_crops(
    fingerprint: Fingerprint, crop: tuple[int, int] | None
) -> None:
    assert crop_of(fingerprint) == crop
    assert values_of(fingerprint)["augment"]["crop"] == (None if crop is None else list(crop))


def test_choices_follow_the_data() -> None:
    plates = values_of(PLATES)
    assert plates["loss"]["name"] == "ce_dice"
    assert values_of(replace(PLATES, overlap_images=2))["loss"]["name"] == "bce_dice"
    assert plates["model"] == {"in_channels": "sum", "weights": "offline"}
    assert values_of(replace(PLATES, grey=False), offline=False)["model"] == {"in_channels": "rgb", "weights": "hub"}
    assert plates["rules"]["min_pixels"] == [20]
    assert plates["folds"]["share"] == 0.2
    assert values_of(replace(PLATES, images=4000))["folds"]["share"] == 0.1


def test_a_batch_fits_the_pixels_and_the_images() -> None:
    assert values_of(PLATES)["train"]["batch_size"] == 16
    assert values_of(STRIP)["train"]["batch_size"] == 8
    assert values_of(replace(PLATES, images=24))["train"]["batch_size"] == 4


def test_few_images_of_a_class_say_little_of_how_small_it_can_be() -> None:
    # Half of 40 by 30 images that show it, a tenth by 29.
    for images, expected in ((30, 20), (29, 4)):
        few = replace(PLATES, classes=(replace(PIT, images=images),))
        assert values_of(few)["rules"]["min_pixels"] == [expected]


FINE, COARSE = Candidate(PlannedNetwork(1), 2.0, 16), Candidate(PlannedNetwork(2), 1.0, 16)


def test_a_decoder_draws_as_finely_as_the_smallest_spots_need() -> None:
    for across, squares in ((9, (2, 4)), (8, (2, 4)), (7, (1, 2))):
        small = replace(PLATES, classes=(replace(PIT, spot_side=across), replace(PIT, spot_side=50)))
        assert [network.square for network in networks(small, strip=False)] == list(squares)
        absent = replace(small, classes=(*small.classes, replace(PIT, images=0, spot_side=0)))
        assert [network.square for network in networks(absent, strip=False)] == list(squares)
    assert networks(PLATES, strip=True) == (PlannedNetwork(2),)
    values = as_values(time_choices(800, 200, [COARSE], 1))
    assert values["model"]["decoder_channels"] == [96, 64, 32, 24]


def test_steps_end_within_the_hours_whatever_they_are() -> None:
    assert steps_within(FINE, 3600) == 1600  # 0.9 of 3,600 s are 1,620 steps, to two digits
    for seconds in (10, 99, 1000, 12345):
        assert steps_within(FINE, seconds) * 2.0 <= seconds * (1 - SPARE_SHARE - VALIDATION_SHARE)


def test_the_first_network_that_learns_enough_is_taken_else_the_fastest() -> None:
    # Measured with 4 images, a batch can't be smaller.
    fine, coarse = replace(FINE, batch=4), replace(COARSE, batch=4)
    enough = ENOUGH_STEPS * 2.0 / (1 - SPARE_SHARE - VALIDATION_SHARE) + 1
    assert pick_candidate([fine, coarse], enough) == fine
    assert pick_candidate([fine, coarse], enough - 100) == coarse
    assert pick_candidate([coarse, fine], 10) == coarse
    # Measured with 16, it can: a quarter of the time is enough.
    assert pick_candidate([FINE, COARSE], enough / 4).network == FINE.network
    assert pick_candidate([FINE, COARSE], enough / 4 - 25).network == COARSE.network


def test_a_batch_is_halved_until_the_hours_hold_enough_steps() -> None:
    # 900 of 1,000 s are for steps: 450 of 2 s; 225 of 2 s are too few, but 450 of 1 s are not.
    assert with_fitting_batch(FINE, 1000) == FINE
    assert with_fitting_batch(FINE, 500) == replace(FINE, batch=8, step_seconds=1.0)
    assert with_fitting_batch(FINE, 10).batch == 4
    assert with_fitting_batch(replace(FINE, batch=3), 10).batch == 3
    values = as_values(time_choices(800, 200, [FINE], 500 / 3600))
    assert values["train"]["batch_size"] == 8
    assert (
        values["train"]["epochs"] * values["sampling"]["epoch_images"] == 440 // 8 * 8 * 8
    )  # 450 in two digits is 440


def test_a_small_batch_takes_what_it_was_measured_to_take() -> None:
    # 0.8 s of 4 and 2 s of 16 images: 0.4 s whatever the batch, and 0.1 s an image.
    both = replace(FINE, small_step_seconds=0.8)
    assert both.with_batch(4).step_seconds == pytest.approx(0.8)
    assert both.with_batch(8).step_seconds == pytest.approx(1.2)
    assert both.with_batch(16).step_seconds == pytest.approx(2.0)
    values = as_values(time_choices(800, 200, [both], 100 / 3600))
    assert values["train"]["batch_size"] == 4
    assert values["train"]["epochs"] * values["sampling"]["epoch_images"] == 110 * 4  # 112 of 0.8 s in 90 s
    # A busy moment while the small one was measured: no batch is then faster than another.
    busy = replace(FINE, small_step_seconds=3.0)
    assert busy.with_batch(8).step_seconds == 3.0


def test_a_small_batch_is_measured_where_the_hours_are_too_short_for_the_whole_one() -> None:
    assert needs_small(FINE, 500)
    assert not needs_small(FINE, 1000)
    assert not needs_small(replace(FINE, batch=4), 500)
    assert not needs_small(replace(FINE, small_step_seconds=0.8), 500)


def test_weights_that_know_strip_come_with_their_decoder_and_a_lower_rate() -> None:
    values = as_values(data_choices(STRIP, offline=True, workers=1, strip=True))
    assert values["model"] == {"in_channels": "sum", "weights": "strip"}
    (network,) = networks(STRIP, strip=True)
    assert network.decoder_channels == (96, 64, 32, 24)
    timed = as_values(time_choices(800, 200, [Candidate(network, 0.1, 16)], 1, strip=True))
    assert timed["model"]["decoder_channels"] == [96, 64, 32, 24]
    assert values["optim"]["encoder_learning_rate"] == values_of(STRIP)["optim"]["encoder_learning_rate"] / 4
    assert (values["sampling"]["balance"], values_of(STRIP)["sampling"]["balance"]) == ("class", "none")


def test_epochs_hold_the_steps_and_validations_their_share() -> None:
    values = as_values(time_choices(training=800, validation=200, candidates=[FINE, COARSE], hours=1))
    assert values["train"]["epochs"] * values["sampling"]["epoch_images"] == 1600 * 16
    # 200 images take 200/16 x 2 s / 3, or 8.3 s; 5 % of the hour are 180 s.
    assert values["train"]["validate_every"] == 1
    slow = as_values(time_choices(training=800, validation=4000, candidates=[FINE, COARSE], hours=1))
    assert slow["train"]["validate_every"] == 20


def test_too_few_hours_are_told() -> None:
    with pytest.raises(InputError, match=r"0\.0001 hours are too short: a step takes 0\.5 s"):
        time_choices(800, 200, [FINE], 0.0001)


def plan(*words: str) -> str:
    result = CliRunner().invoke(app, ["plan", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    file = tmp_path / "machine.json"
    every = [PlannedNetwork(square) for square in DECODERS]
    speeds = {network.name: 0.5 for network in every} | {name_of_small(network): 0.2 for network in every}
    file.write_text(json.dumps(speeds))
    return file


def test_the_page_is_an_experiment_and_gives_a_reason_on_every_line(
    strip_root: Path, tmp_path: Path, machine: Path
) -> None:
    output = tmp_path / "mine.yml"
    assert plan(str(strip_root), "-o", str(output), "--machine", str(machine), "--name", "mine") == f"{output}\n"
    text = output.read_text()
    config = load_config(output)
    assert (config.name, config.data.root, config.model.encoder) == ("mine", strip_root, ENCODER)
    settings = [line for line in text.splitlines() if not line.startswith("#") and not line.endswith(":")]
    assert settings
    assert all(len(line.split(" # ")[1]) > 5 for line in settings)
    assert yaml.safe_load(text)["rules"]["min_pixels"] == list(config.rules.min_pixels or ())
    assert plan(str(strip_root), "--machine", str(machine), "--name", "mine") == text


def test_what_was_measured_once_is_not_measured_again(strip_root: Path, tmp_path: Path) -> None:
    machine = tmp_path / "machine.json"
    first = plan(str(strip_root), "--machine", str(machine), "--hours", "0.5")
    allowed = {PlannedNetwork(square).name for square in DECODERS}
    assert set(json.loads(machine.read_text())) < allowed
    assert len(json.loads(machine.read_text())) == 2
    assert plan(str(strip_root), "--machine", str(machine), "--hours", "0.5") == first
    told = plan(str(strip_root), "--machine", str(machine), "--explain")
    assert "16 images of 64x192 pixels, grey, no groups" in told
    assert "s a step of" in told


def test_small_batches_are_measured_once_where_whole_ones_do_not_fit(tmp_path: Path) -> None:
    synthesize(tmp_path / "data", SynthSettings(train=64, test=1, height=64, width=64))
    machine, networks_here = tmp_path / "machine.json", [PlannedNetwork(square).name for square in DECODERS]
    machine.write_text(json.dumps(dict.fromkeys(networks_here, 1.0)))
    words = [str(tmp_path / "data"), "--machine", str(machine), "--hours", "0.01"]
    first = plan(*words)
    speeds = json.loads(machine.read_text())
    small = {name: seconds for name, seconds in speeds.items() if name not in networks_here}
    assert len(small) == 2
    assert all(0 < seconds < 1 and name.endswith(f", {SMALLEST_BATCH} images") for name, seconds in small.items())
    assert f" s of {SMALLEST_BATCH}, on this machine" in first
    assert plan(*words) == first


def test_an_experiment_that_is_there_stays(strip_root: Path, tmp_path: Path, machine: Path) -> None:
    output = tmp_path / "mine.yml"
    output.write_text("edited")
    words = ["plan", str(tmp_path / "nothing"), "-o", str(output), "--machine", str(machine)]
    with pytest.raises(InputError, match="exists already"):  # told before the data set is looked for
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert output.read_text() == "edited"


def test_a_name_that_is_no_folder_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`name` is 'a/b'"):
        CliRunner().invoke(app, ["plan", str(tmp_path), "--name", "a/b"], catch_exceptions=False)


def test_a_measurement_of_something_else_is_told(strip_root: Path, tmp_path: Path) -> None:
    machine = tmp_path / "machine.json"
    machine.write_text('{"mine": "fast"}')
    with pytest.raises(InputError, match="holds no measurement"):
        CliRunner().invoke(app, ["plan", str(strip_root), "--machine", str(machine)], catch_exceptions=False)
