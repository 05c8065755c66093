"""One person's whole path in a browser: the first start, images of a camera, corrections, a data set, a model that is
trained further with it, held beside the old one, and taken. And rules that are tried and saved."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from command_line import sever
from page_maker import Desk, chromium, new_answer
from run_maker import make_run
from serve_maker import GreyModel, png, running, spots
from test_serve_command import serving, sign_in

from sever.data.synthetic import make_strip
from sever.pipeline.export.pack import pack_model
from sever.store import find_run

SHARED = Path(os.environ.get("SEVER_DATA", Path(__file__).parents[3] / "shared" / "data"))
TILES = SHARED / "magnetic_tile" / "images"
COILS, PER_COIL, HEIGHT, WIDTH = 3, 2, 64, 96


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def images() -> list[np.ndarray]:
    """Real tiles where the data set is at hand, else synthetic strip."""
    real = sorted(TILES.glob("*.jpg"))[: COILS * PER_COIL] if TILES.is_dir() else []
    if len(real) == COILS * PER_COIL:
        return [cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (WIDTH, HEIGHT)) for path in real]
    return [make_strip(5, index, HEIGHT, WIDTH)[0] for index in range(COILS * PER_COIL)]


def camera(folder: Path) -> None:
    for at, image in enumerate(images()):
        place = folder / f"C{at // PER_COIL}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{at % PER_COIL}.0.part").write_bytes(png(image))
        (place / f"{at % PER_COIL}.0.part").rename(place / f"{at % PER_COIL}.0.png")


def typed(*words: object) -> str:
    """What a command prints on standard output, in a process of its own as a user's is."""
    done = subprocess.run(
        [sys.executable, "-m", "sever", *map(str, words)], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def retrain(corrected: Path, old: Path, folder: Path) -> Path:
    """Fine-tuned by one command, and packed as a bundle; returns the bundle."""
    quick = {"train.epochs": 1, "train.batch_size": 2, "train.workers": 0, "augment.crop": "[64, 64]"}
    words = [word for key, value in quick.items() for word in ("--set", f"{key}={value}")]
    run = typed("train", "--from", old, "--data", corrected, "--saved", folder / "saved", "--device", "cpu", *words)
    assert find_run(Path(run))
    folds = (Path(run) / "folds.csv").read_text()
    assert {line.split(",")[1] for line in folds.splitlines()[1:]} == {"C0", "C1", "C2"}, "the coils are the groups"
    typed("export", run, "-o", folder / "models" / "new.sever", "--backend", "onnx", "--images", "2")
    return folder / "models" / "new.sever"


def judge(desk: Desk, client: httpx.Client, at: int) -> str:
    """What the page shows: one key on every second image, a brush stroke on the others; then the next one follows."""
    uid = str(desk.tab.evaluate("location.hash.split('/')[1]"))
    desk.wait_for(uid)
    if at % 2:
        desk.press("r")
    else:
        desk.press(str(1 + at // 2), "b")
        box = desk.tab.locator("#picture").bounding_box()
        desk.tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        desk.press("s")
    wanted = "rejected" if at % 2 else "corrected"
    desk.until_true(lambda: client.get(f"/v1/answers/{uid}").json()["verdict"] == wanted)
    if at < COILS * PER_COIL - 1:
        desk.until("uid => !location.hash.endsWith(uid)", uid)
    return uid


def test_from_the_first_start_to_the_retrained_model(strip_root: Path, tmp_path: Path, browser: Any) -> None:
    old = tmp_path / "old.sever"
    pack_model(make_run(tmp_path / "saved" / "old" / "1", strip_root), old)
    (tmp_path / "models").mkdir()
    settings = {
        "watch": [
            {
                "path": str(tmp_path / "camera"),
                "name_pattern": r"(?P<coil>\w+)/(?P<position_m>[\d.]+)\.png",
                "poll_seconds": 0.1,
                "settle_seconds": 0.2,
            }
        ],
    }
    (tmp_path / "serve.yml").write_text(json.dumps(settings))
    (tmp_path / "camera").mkdir()
    words = (old, "--store", tmp_path / "store", "-c", tmp_path / "serve.yml", "--models", tmp_path / "models")
    with serving(*words) as (url, password, _):
        camera(tmp_path / "camera")
        desk = Desk(browser, url, "admin")
        desk.tab.set_default_timeout(120_000)  # two networks are loaded in torch on the way
        desk.tab.goto(url)
        desk.tab.fill("#name", "admin")
        desk.tab.fill("#password", password)
        desk.tab.keyboard.press("Enter")
        desk.tab.wait_for_selector("#top nav")
        with closing(sign_in(url, password)) as client:
            desk.until_true(lambda: client.get("/v1/answers").json()["total"] == COILS * PER_COIL)
            desk.tab.reload()
            desk.until("() => location.hash.split('/').length === 2")
            judged = {judge(desk, client, at) for at in range(COILS * PER_COIL)}
            assert len(judged) == COILS * PER_COIL
        desk.sync("saved")
        desk.tab.goto(f"{url}/#trends")
        with desk.tab.expect_download() as download:
            desk.tab.click("#export")
        download.value.save_as(tmp_path / "corrections.zip")
        zipfile.ZipFile(tmp_path / "corrections.zip").extractall(tmp_path)
        retrain(tmp_path / "corrections", old, tmp_path)
        desk.tab.goto(f"{url}/#models")
        desk.tab.click("[data-compare='new.sever']")
        desk.tab.wait_for_selector("#comparison-state[data-over=true]")
        desk.said("that the new model was not trained on")
        assert desk.tab.locator(".scores tbody tr").count() == 5
        assert desk.tab.locator(".sides li").count() == COILS * PER_COIL
        desk.tab.click("#take-compared")
        desk.said("Go back to this one")
        with closing(sign_in(url, password)) as client:
            assert client.get("/v1/models").json()["current"]["name"] == "new"
            again = client.post("/v1/inspect", content=png(images()[0]), headers={"content-type": "image/png"}).json()
            assert again["model"]["name"] == "new"
        desk.close()
    shutil.rmtree(tmp_path / "saved")


def test_sliders_redraw_count_and_save(tmp_path: Path, browser: Any) -> None:
    """128 is everywhere but in the blocks: a threshold below 0.5 makes all of an image bright."""
    evidence = [
        {
            "thresholds": [0.4, 0.75],
            "areas": [0],
            "images": 20,
            "images_with_it": 5,
            "dice": [[0.5], [0.9]],
            "found": [[1.0], [0.8]],
            "false_calls": [[0.6], [0.1]],
        }
    ] * 2
    model = GreyModel(background={"rule_evidence": evidence})
    with running(tmp_path, {"security": {"logins_per_minute": 600}}, model) as served:
        for seed in range(3):
            new_answer(served, seed)
        desk = Desk(browser, served.url, "admin").sign_in()
        desk.tab.goto(f"{served.url}/#rules")
        desk.tab.wait_for_selector("#rules-count .value[data-images='3'][data-changed='0']")
        desk.said("Dice 0.900")
        desk.set_range("rules-level-0", 0.4)
        desk.said("Dice 0.900 → 0.500")
        desk.said("3 of the last 3 images would change")
        desk.set_range("rules-level-0", 0.75)
        desk.set_range("rules-area-1", 10)
        desk.said("dark: called in 0 more, in 3 fewer")
        assert served.service.models.current.identity == "grey-1"
        assert model.settings is None, "nothing is changed by trying"
        desk.tab.fill("#rules-note", "specks of dust")
        desk.tab.click("#rules-keep")
        desk.said("Version 1 of the rules is in service.")
        desk.said("specks of dust")
        with served.client() as client:
            found = client.post("/v1/inspect", content=png(spots(seed=7))).json()
        assert [each["area"] for each in found["classes"]] == [24, 0]
        desk.tab.click("[data-version='0'] button")
        desk.said("Version 0 of the rules is in service.")
        with served.client() as client:
            found = client.post("/v1/inspect", content=png(spots(seed=8))).json()
        assert [each["area"] for each in found["classes"]] == [24, 6]
        desk.close()


def test_fine_tuning_needs_data_and_one_beginning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sever("train", "--from", tmp_path / "model.sever") == 2
    assert "--data" in capsys.readouterr().err
    assert sever("train", "--from", "a", "-r", "b") == 2
    assert "one of these" in capsys.readouterr().err
