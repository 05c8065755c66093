"""A job by the shard on Ray: nothing is lost or appears twice, whoever dies; the tables are those of one machine.

The cluster is a local one of two workers. What needs none (lists, shards, faults) is tested without it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import network_guard
import numpy as np
import pandas as pd
import pytest
from command_line import sever
from run_maker import make_run, with_folds

import sever as library
from sever.errors import InputError
from sever.output import OutputFolder
from sever.pipeline.export.make import ExportOptions, export_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.shards import work
from sever.pipeline.shards.listing import ListedImage, list_job
from sever.pipeline.shards.store import ShardRow, Shards
from sever.pipeline.shards.work import Worker

pytest.importorskip("ray")
pytest.importorskip("pyarrow")
# Names on the driver's command line, by which its workers are found.
COPIES = 4


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, strip_root: Path) -> Path:
    root = tmp_path_factory.mktemp("shards")
    run = with_folds(make_run(root / "saved" / "tiny" / "20260101-000000", strip_root), strip_root)
    export_model(run, root / "model.sever", ExportOptions(images=2, backends=("onnx",)))
    return root / "model.sever"


@pytest.fixture(scope="module")
def images(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "images"
    for copy in range(COPIES):
        shutil.copytree(strip_root / "test_images", folder / f"{copy}")
    return folder


@pytest.fixture(scope="module")
def expected(bundle: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("one") / "out"
    assert sever("predict", "--model", bundle, "--images", images, "-o", out) == 0
    return (out / "submission.csv").read_bytes()


def command(bundle: Path, images: object, out: Path, *more: object) -> list[str]:
    words = ["predict", "--model", bundle, "--images", images, "-o", out, "--engine", "ray", "--workers", 2]
    return [sys.executable, "-m", "sever", *map(str, [*words, "--shard-images", 2, *more])]


def environment() -> dict[str, str]:
    """Without the guard: Ray's own processes ask the cloud below them, if there is one, which machine they are on."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", network_guard.REPORT)}


def start(*arguments: object) -> subprocess.Popen[str]:
    """A driver in a process group of its own."""
    return subprocess.Popen(
        command(*arguments),  # type: ignore[arg-type]
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_until(what: Callable[[], bool], seconds: float = 400) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def skip_if_too_busy(said: str) -> None:
    """Ray gives its own processes half a minute to start, which no setting changes. Fails for any other reason."""
    if "Ray can't be started" in said:
        pytest.skip("Ray does not start in time on so busy a machine")
    raise AssertionError(said)


def workers_of(driver: int) -> list[int]:
    """Processes of Ray's workers that descend from the driver."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            stat, name = (place / "stat").read_text(), (place / "cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
        parents[int(place.name)] = (int(stat.rpartition(")")[2].split()[1]), name)

    def descends(process: int) -> bool:
        while process in parents and process != driver:
            process = parents[process][0]
        return process == driver

    return [process for process, (_, name) in parents.items() if name.startswith("ray::Worker") and descends(process)]


def test_a_worker_dies_then_the_driver_and_nothing_is_lost_or_twice(
    bundle: Path, images: Path, tmp_path: Path, expected: bytes
) -> None:
    out = tmp_path / "out"
    driver = start(bundle, images, out)
    try:
        wait_until(lambda: driver.poll() is not None or any((out / "shards").glob("0*.parquet")))
        if driver.poll() is not None:
            skip_if_too_busy(driver.stdout.read() if driver.stdout else "")
        victims = workers_of(driver.pid)
        if victims:  # on a fast machine all may be done
            os.kill(victims[0], signal.SIGKILL)
        done = len(list((out / "shards").glob("0*.parquet")))
        wait_until(lambda: driver.poll() is not None or len(list((out / "shards").glob("0*.parquet"))) > done)
    finally:
        if driver.poll() is None:
            os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        if driver.stdout:
            driver.stdout.close()
    before = {path: path.stat().st_mtime_ns for path in (out / "shards").glob("0*.parquet")}
    assert before
    assert not any(path.stat().st_size == 0 for path in before)
    again = subprocess.run(command(bundle, images, out), env=environment(), capture_output=True, text=True, check=False)
    if again.returncode:
        skip_if_too_busy(again.stderr)
    assert (out / "submission.csv").read_bytes() == expected
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items()), "what was whole was not done again"
    table = pd.read_parquet(out / "results.parquet")
    assert table["image_id"].tolist() == sorted(
        path.relative_to(images).as_posix() for path in images.rglob("*") if path.is_file()
    )
    assert set(table["error"]) == {""}


# Without a cluster ----------------------------------------------------------------------------------------------------


def test_a_list_a_folder_and_a_store_name_the_same_images(images: Path, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    of_folder = list_job(str(images))
    rows = {"path": [each.url for each in of_folder], "image_id": [each.image_id for each in of_folder]}
    pd.DataFrame(rows).to_csv(tmp_path / "list.csv", index=False)
    pd.DataFrame(rows).to_parquet(tmp_path / "list.parquet")
    memory = fsspec.filesystem("memory")
    for each in of_folder:
        memory.pipe(f"/strips/{each.image_id}", Path(each.url).read_bytes())
    memory.pipe("/strips/notes.txt", b"no image")
    of_store = list_job("memory://strips")
    for found in (list_job(str(tmp_path / "list.csv")), list_job(str(tmp_path / "list.parquet")), of_store):
        assert [each.image_id for each in found] == [each.image_id for each in of_folder]
    content = [work.content_of_url(each.url) for each in of_store]
    assert content == [Path(each.url).read_bytes() for each in of_folder]
    assert len({each.stamp for each in of_folder}) > 1, "size and time"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_image_of_a_list_that_was_replaced_is_another_one(suffix: str, images: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    frame = pd.DataFrame({"path": ["a.png", "missing.png"]})
    file = tmp_path / f"list{suffix}"
    frame.to_csv(file, index=False) if suffix == ".csv" else frame.to_parquet(file)
    before = list_job(str(file))
    (tmp_path / "a.png").write_bytes(b"another")
    after = list_job(str(file))
    assert [each.image_id for each in before] == ["a.png", "missing.png"]
    assert before[0].stamp != after[0].stamp
    assert before[1] == after[1]


@pytest.mark.parametrize(
    ("text", "fault"),
    [("image_id\na\n", "it needs `path`"), ("path\na.png\na.png\n", "twice"), ("path\n", "holds no images")],
)
def test_a_list_that_makes_no_sense_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=fault):
        list_job(str(file))


def test_a_list_in_parquet_that_claims_or_lacks_rows_is_refused(tmp_path: Path) -> None:
    """Parquet says "the same a million times" in a few bytes."""
    file = tmp_path / "list.parquet"
    pd.DataFrame({"path": ["a.png"] * 1_000_000}).to_parquet(file)
    with pytest.raises(InputError, match="it claims 1,000,000 rows in"):
        list_job(str(file))
    pd.DataFrame({"path": ["a.png", None, "b.png"]}).to_parquet(file)
    with pytest.raises(InputError, match="no `path` in row 2"):
        list_job(str(file))
    whole = file.read_bytes()
    draw = random.Random(0)
    for _ in range(200):
        spoilt = bytearray(whole)
        spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
        file.write_bytes(bytes(spoilt))
        with contextlib.suppress(InputError):
            list_job(str(file))


def test_a_worker_answers_as_one_machine_and_tells_what_failed(
    bundle: Path, images: Path, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "WAIT_SECONDS", 0.0)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    listed = [
        *list_job(str(images)),
        ListedImage("zz-bad.jpg", str(bad)),
        ListedImage("zz-gone.jpg", str(tmp_path / "gone.jpg")),
    ]
    rows = Worker(str(bundle), InferenceOptions(streams=1)).run(listed)
    assert [row.image_id for row in rows] == [each.image_id for each in listed]
    lines = [f"{row.image_id}_{at + 1},{text}" for row in rows[:-2] for at, text in enumerate(row.runs)]
    assert lines == expected.decode().splitlines()[1:]
    assert ["not an image that can be read" in rows[-2].error, "can't be read" in rows[-1].error] == [True, True]


def test_what_fails_at_first_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "WAIT_SECONDS", 0.0)
    answers: list[int] = []

    def unsteady() -> int:
        answers.append(1)
        if len(answers) < work.ATTEMPTS:
            raise InputError("the store is busy")
        return 7

    assert work.patiently(unsteady) == 7
    with pytest.raises(InputError, match="never"):
        work.patiently(lambda: (_ for _ in ()).throw(InputError("never")))


def test_failed_images_alone_are_done_again_and_a_changed_image_is(tmp_path: Path) -> None:
    listed = [ListedImage(f"{number}.png", f"/x/{number}.png", "1") for number in range(5)]
    shards = Shards(OutputFolder(tmp_path), listed, 2, "model")
    rows = [ShardRow(each.image_id, "o", "", ["1 2"], 2) for each in listed]
    assert [len(shards.todo(shard)) for shard in range(len(shards))] == [2, 2, 1]
    shards.commit(0, [rows[0], ShardRow("1.png", "", "it is damaged", [], 0)])
    assert [each.image_id for each in shards.todo(0)] == ["1.png"]
    shards.commit(0, [rows[1]])
    assert shards.todo(0) == []
    assert shards.read(0) == rows[:2]
    changed = [listed[0]._replace(stamp="2"), *listed[1:]]
    assert len(Shards(OutputFolder(tmp_path), changed, 2, "model").todo(0)) == 2
    assert len(Shards(OutputFolder(tmp_path), listed, 2, "other rules").todo(0)) == 2
    shards.home.path(shards.name(0)).write_bytes(b"PAR1 half of it")
    assert len(shards.todo(0)) == 2, "not as it was written: not ours, done again"


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (["--minutes", 3], "does not know --minutes"),
        (["--keep-maps"], "does not know --keep-maps"),
    ],
)
def test_what_is_for_one_machine_alone_is_refused(
    more: list[object], fault: str, bundle: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", "--model", bundle, "--images", images, "-o", tmp_path / "out", "--engine", "ray"]
    assert sever(*words, *more) == 2
    assert fault in " ".join(capsys.readouterr().err.split())
    assert sever("predict", "--model", bundle, "--images", "s3://x/y", "-o", tmp_path / "out") == 2
    assert "give --engine ray" in " ".join(capsys.readouterr().err.split())


def test_a_model_is_a_picklable_callable_over_batches(bundle: Path, images: Path) -> None:
    model = library.load(bundle, backend="onnx")
    paths = sorted(path for path in images.rglob("*") if path.is_file())[:3]
    content = np.empty(len(paths), object)
    content[:] = [path.read_bytes() for path in paths]
    sent = pickle.loads(pickle.dumps(model))
    found = sent({"bytes": content, "path": np.array([str(path) for path in paths])})
    assert set(found) == {"path", "run_lengths", "areas"}
    assert list(found["run_lengths"]) == [model.inspect(path).run_lengths for path in paths]
    assert found["areas"].shape == (3, 4)
    assert list(model({"path": [str(path) for path in paths]})["run_lengths"]) == list(found["run_lengths"])
    with pytest.raises(InputError, match="a column bytes, image or path"):
        model({"picture": []})
    with pytest.raises(InputError, match="can't be sent"):
        pickle.dumps(model.lighter())
