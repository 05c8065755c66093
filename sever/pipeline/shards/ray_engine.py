"""`sever predict --engine ray`: shards on the workers of a Ray cluster, committed by the one who gave the command.

Workers hold the bundle and nothing else, so that one may die at any moment: Ray starts it again and gives it its shard
again. The driver alone writes; killed, it leaves whole shards, and the same command goes on behind them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sever.counted import counted
from sever.deliver.submission import write_submission
from sever.errors import InputError
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline.image_source import PredictedImages
from sever.pipeline.inference.bundled import fastest_here, may_measure
from sever.pipeline.inference.familiar import Familiarity
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.one_pass import row_identity
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.rating import FAMILIARITY, Rated, familiarity_store, known_familiarity, write_ratings
from sever.pipeline.shards.listing import list_job
from sever.pipeline.shards.store import FAILED, RESULTS, Shards
from sever.pipeline.shards.work import Worker
from sever.progress import info, meter, warn
from sever.store.bundle.bundle import Bundle
from sever.store.bundle.container import is_bundle
from sever.store.labels import Label
from sever.store.origin import Origin
from sever.store.outcomes import PREDICTION, ShardedRecord, kind_of_prediction

# How often Ray may start a worker again, and give it its shard again: beyond that it is no accident.
MOST_RESTARTS = 10
STARTS = 3
SHOWN = 3


@dataclass(frozen=True)
class Job:
    """A job for a cluster. `workers`: None for one a core of the cluster; each has `worker_cores` cores.
    `familiarity`: also rate how familiar each image is."""

    images: str
    shard_images: int = 256
    workers: int | None = None
    worker_cores: int = 1
    skip_bad: bool = False
    familiarity: bool = False


def raise_if_not_for_ray(options: Mapping[str, object], images: object) -> None:
    """Raises InputError for options that one machine alone understands."""
    given = [name.replace("_", "-") for name, value in options.items() if value]
    if given:
        raise InputError(f"--engine ray does not know --{', --'.join(given)}; leave it out")
    if images is None:
        raise InputError("--engine ray needs --images: a folder, a list (.csv or .parquet), or an object store's URL")


@writes_to("output")
def predict_on_ray(path: Path, job: Job, output: Path, form: str, how: InferenceOptions) -> PredictedImages:
    """Predict all images of a job. Raises InputError where images fail again and again, unless `skip_bad`."""
    ray = _library()
    how = _settled(path, how, job.worker_cores)
    model = load_model(path, how)
    home, images = OutputFolder(output), list_job(job.images)
    familiar = known_familiarity(model) if job.familiarity else None
    shards = Shards(home, images, job.shard_images, row_identity(model), familiar.identity if familiar else "")
    _claim(home, model, job)
    _run(ray, shards, path, how, job)
    done = _join(shards, model, form, job)
    return done if familiar is None else done.with_ratings(_rated(shards, familiar))


def _settled(path: Path, how: InferenceOptions, cores: int) -> InferenceOptions:
    """One backend for all workers, whatever machine they are on: so they answer alike."""
    if not is_bundle(path):
        raise InputError(f"--engine ray takes a bundle, and {path} is none; `sever export` makes one")
    how, bundle = replace(how, streams=cores), Bundle.open(path)
    if not bundle.manifest.draws_masks:
        raise InputError(f"--engine ray is for what draws masks; {path} only labels images")
    if how.backend is None and may_measure(bundle, how):
        how = replace(how, backend=fastest_here(bundle, how))
    return how


def _claim(home: OutputFolder, model: Model, job: Job) -> None:
    """Raises InputError where the folder holds another job's results."""
    home.claim([PREDICTION, RESULTS, FAILED, "submission.csv", *((FAMILIARITY,) if job.familiarity else ())])
    asked = ShardedRecord(engine="ray", images=job.images, model=row_identity(model), shard_images=job.shard_images)
    file = home.path(PREDICTION)
    if file.exists() and kind_of_prediction(file).read(file) != asked:
        raise InputError(f"{home.folder} holds another job ({file}): give another -o, or delete the folder")
    stale = [FAMILIARITY] if home.is_ours(FAMILIARITY) else []
    home.remove([RESULTS, FAILED, "submission.csv", *stale])
    home.write_json(PREDICTION, asked.as_json())


def _run(ray: Any, shards: Shards, path: Path, how: InferenceOptions, job: Job) -> None:
    """Hand out what is not there yet, a shard a worker at a time, and commit what comes back."""
    todo = {shard: images for shard in range(len(shards)) if (images := shards.todo(shard))}
    with meter("predict", len(shards), done=len(shards) - len(todo)) as progress:
        if not todo:
            return
        with _Cluster(ray, job) as workers:
            waiting, running = iter(todo.items()), dict[Any, tuple[Any, int]]()
            # The idle ones first; later each that has brought back a shard.
            idle = _workers(ray, path, how, job, min(workers, len(todo)))
            while idle or running:
                while idle and (upcoming := next(waiting, None)) is not None:
                    worker, (shard, images) = idle.pop(), upcoming
                    running[worker.run.remote(images)] = (worker, shard)
                if not running:
                    return
                (done,), _ = ray.wait(list(running), num_returns=1)
                worker, shard = running.pop(done)
                shards.commit(shard, _rows(ray, done, shard))
                progress.advance()
                idle.append(worker)


def _rows(ray: Any, done: Any, shard: int) -> Any:
    try:
        return ray.get(done)
    except ray.exceptions.RayError as error:
        raise InputError(
            f"shard {shard} failed on its workers again and again ({_short(error)}); what is done "
            "is kept: run the command again"
        ) from error


class _Cluster:
    """The cluster that RAY_ADDRESS names, or one on this machine for as long as the command runs."""

    def __init__(self, ray: Any, job: Job) -> None:
        self.ray, self.job = ray, job
        self.is_ours = not ray.is_initialized()

    def __enter__(self) -> int:
        if self.is_ours:
            local: dict[str, Any] = {}
            if not os.environ.get("RAY_ADDRESS"):
                cores = None if self.job.workers is None else self.job.workers * self.job.worker_cores
                local = {"num_cpus": cores, "_node_ip_address": "127.0.0.1", "address": "local"}
            self._start(local)
        of_cluster = int(self.ray.cluster_resources().get("CPU", 1)) // self.job.worker_cores
        workers = self.job.workers or max(1, of_cluster)
        info(f"Ray: {workers} workers of {self.job.worker_cores} cores")
        return workers

    def _start(self, local: dict[str, Any]) -> None:
        """Ray gives its own processes half a minute to start, which a busy machine may not do at first."""
        for attempt in range(1, STARTS + 1):
            try:
                self.ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", **local)
                return
            except Exception as error:  # what it raises has no common ancestor
                self.ray.shutdown()
                if attempt == STARTS:
                    where = os.environ.get("RAY_ADDRESS") or "on this machine"
                    raise InputError(f"Ray can't be started or reached ({where}): {_short(error)}") from error

    def __exit__(self, *error: object) -> None:
        if self.is_ours:
            self.ray.shutdown()


def _workers(ray: Any, path: Path, how: InferenceOptions, job: Job, count: int) -> list[Any]:
    actor = ray.remote(Worker).options(
        num_cpus=job.worker_cores,
        max_restarts=MOST_RESTARTS,
        max_task_retries=MOST_RESTARTS,
    )
    return [actor.remote(str(path.absolute()), how, job.familiarity) for _ in range(count)]


def _join(shards: Shards, model: Model, form: str, job: Job) -> PredictedImages:
    """The tables, of all shards; failed.csv lists what could not be read."""
    home, failed, found = shards.home, list[tuple[str, str]](), dict.fromkeys(model.classes, 0)
    images = 0

    def rows() -> Iterator[tuple[str, list[str]]]:
        nonlocal images
        for row in shards.rows():
            if row.error:
                failed.append((row.image_id, row.error))
                continue
            images += 1
            for name, text in zip(model.classes, row.runs, strict=True):
                found[name] += bool(text)
            yield row.image_id, row.runs

    shards.write_results()
    with home.new("submission.csv") as temporary:
        write_submission(temporary, rows(), form)
    if failed:
        _tell_failed(home, failed, job)
    return PredictedImages(home.folder, images, found, home.path("submission.csv"))


def _rated(shards: Shards, familiar: Familiarity) -> Rated:
    """familiarity.csv, as one machine writes it."""
    labels = {
        row.image_id: Label(
            np.array([row.familiarity], np.float32), str(Origin(familiar.identity, Origin.parse(row.origin).image))
        )
        for row in shards.rows()
        if not row.error
    }
    return write_ratings(familiarity_store(shards.home), labels, familiar.least)


def _tell_failed(home: OutputFolder, failed: list[tuple[str, str]], job: Job) -> None:
    import pandas as pd

    with home.new(FAILED) as temporary:
        pd.DataFrame(failed, columns=["image_id", "error"]).to_csv(temporary, index=False, lineterminator="\n")
    first = "; ".join(f"{name}: {error}" for name, error in failed[:SHOWN])
    text = f"{counted(len(failed), 'image')} failed, listed in {home.path(FAILED)}: {first}"
    if job.skip_bad:
        warn(text)
        return
    home.remove(["submission.csv"])
    raise InputError(f"{text}. Mend them and run the command again: they alone are tried again; or give --skip-bad")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _library() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell a host on the internet that it is used
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError("--engine ray needs Ray: pip install 'sever[ray]'") from error
    return ray
