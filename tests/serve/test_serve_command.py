"""`sever serve` as a user types it, with a real network: it answers as predict does; a bundle needs no torch."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from command_line import sever
from run_maker import make_run
from serve_maker import GreyModel, running

from sever.data import rle
from sever.data.reader import ImageReader
from sever.pipeline.serve import Offered, load_served

WORDS = """
import atexit, sys
from sever.cli import main
atexit.register(lambda: print("torch" in sys.modules, flush=True))
main()
"""


@contextmanager
def serving(*words: object) -> Iterator[tuple[str, str, list[str]]]:
    """Address and first password; the lines that came last are there at the end."""
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # a pipe that nobody reads is full one day, and stops the service
    process = subprocess.Popen(
        [sys.executable, "-c", WORDS, "serve", *map(str, words), "--port", "0", "--json-log"],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    last: list[str] = []
    try:
        first, url = process.stdout.readline(), process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.communicate(timeout=20)
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            for _ in range(600):
                try:
                    if client.get("/health/ready").status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
        yield url, first.split("password ")[1].split(" ")[0], last
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        out, _ = process.communicate(timeout=60)
        log.seek(0)
        last += [*out.splitlines(), log.read()]
        log.close()


def sign_in(url: str, password: str) -> httpx.Client:
    client = httpx.Client(base_url=url, timeout=60, trust_env=False)
    answer = client.post("/v1/session", json={"name": "admin", "password": password})
    client.headers["x-csrf-token"] = answer.json()["csrf"]
    return client


@pytest.mark.parametrize("form", ["run", "bundle"])
def test_it_answers_as_predict_does(form: str, strip_root: Path, tmp_path: Path) -> None:
    model = make_run(tmp_path / "tiny" / "20260101-000000", strip_root)
    images = strip_root / "test_images"
    if form == "bundle":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        bundle = tmp_path / "tiny.sever"
        assert sever("export", model, "-o", bundle, "--backend", "onnx", "--images", 2, "--data", strip_root) == 0
        model = bundle
        served, read = load_served(bundle), ImageReader(1)
        seen = {path.name: served.inspect([read(path)])[0].masks for path in images.iterdir()}
        expected = {f"{n}_{k}": r for n, masks in seen.items() for k, r in enumerate(rle.encode_masks(masks), 1)}
    else:
        assert sever("predict", "-r", model, "--images", images, "-o", tmp_path / "out") == 0
        with (tmp_path / "out" / "submission.csv").open() as file:
            expected = {row["ImageId_ClassId"]: row["EncodedPixels"] for row in csv.DictReader(file)}
    with (
        serving(model, "--store", tmp_path / "store") as (url, password, last),
        closing(sign_in(url, password)) as client,
    ):
        found = {}
        for path in sorted(images.iterdir()):
            answer = client.post("/v1/inspect", content=path.read_bytes(), params={"name": path.name}).json()
            found |= {f"{path.name}_{number}": each["runs"] for number, each in enumerate(answer["classes"], 1)}
    assert found == expected
    assert last[0] == str(form == "run"), "whether torch was imported"
    logged = [json.loads(line) for line in last[1].splitlines() if line.startswith("{")]
    assert sum(line.get("path") == "/v1/inspect" and line["status"] == 200 for line in logged) == len(expected) / 4


def test_without_its_libraries_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sever.cli.serve.NEEDED", ("fastapi", "not_installed_anywhere"))
    assert sever("serve", tmp_path / "x.sever") == 2
    assert "pip install 'sever[serve]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.sever"], "missing.sever"),
        (["x", "--host", "0.0.0.0"], "x"),
        (["x", "--set", "limits.max_waitin=3"], "limits.max_waiting"),
        (["x", "--set", "watch=[{path: a, name_pattern: '('}]"], "regular expression"),
        (["backup", "--store", "nowhere", "-o", "b.tar"], "nowhere/sever.db; give the store"),
        (["export", "--store", "nowhere", "-o", "d"], "nowhere/sever.db; give the store"),
        (["restore", "nothing.tar", "--store", "new"], "nothing.tar"),
    ],
)
def test_faults_are_told_in_a_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sever("serve", *words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_second_service_on_one_store_is_refused(tmp_path: Path, strip_root: Path) -> None:
    model = make_run(tmp_path / "tiny" / "20260101-000000", strip_root)
    with serving(model, "--store", tmp_path / "store"):
        database = f"sqlite:///{tmp_path / 'store' / 'sever.db'}"
        for place in (["--store", tmp_path / "store"], ["--store", tmp_path / "other", "--db", database]):
            second = [sys.executable, "-m", "sever", "serve", model, *place, "--port", "0"]
            done = subprocess.run(list(map(str, second)), capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 2
            assert "in use by another service" in done.stderr or "is being written by another sever" in done.stderr


def test_models_go_by_names_that_say_nothing_of_where_they_lie(tmp_path: Path) -> None:
    """Every role may read the list; only as many folders stand before a name as tell it from another."""
    folder = tmp_path / "secret place"
    folder.mkdir()
    for name in ("new.sever", "other.sever"):
        (folder / name).touch()
    named = [tmp_path / "a" / "run", Path("b/run"), tmp_path / "x" / "new.sever", folder / "other.sever"]
    offered = Offered(named, folder, lambda path: GreyModel(str(path)))
    assert sorted(offered) == ["a/run", "b/run", "other.sever", "secret place/new.sever", "x/new.sever"]
    assert offered["other.sever"]().name == str(folder / "other.sever")
    (folder / "new.sever").unlink()
    assert "new.sever" in offered, "a name is as short as the others let it be"
    with running(tmp_path / "store", others={name: offered[name]() for name in offered}) as served:
        for role in ("viewer", "admin"):
            with served.client(role) as client:
                assert str(tmp_path) not in client.get("/v1/models").text
