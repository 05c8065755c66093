"""How it went over time, for charts; and what people corrected, as training data to take away."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from sever.deliver.serve.access import Reviewer, TheService, Viewer
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.security.audit import note
from sever.deliver.serve.service import Service
from sever.deliver.serve.storage.export import export
from sever.deliver.serve.storage.statistics import statistics
from sever.errors import InputError

router = APIRouter()
WORKING, OLD_SECONDS = ".export-", 3600
Seconds = Annotated[float, Query(ge=0, le=1e11, description="seconds since 1970, UTC")]


class Sums(BaseModel):
    since: float = Field(description="seconds since 1970, UTC")
    images: int
    metres: float = Field(description="of strip that the images show (settings: strip)")
    judged: int = Field(description="images that people accepted, rejected or corrected")
    accepted: int
    brightness: float | None = Field(description="mean grey level, 0..255; null without images")
    familiarity: float | None
    seconds_mean: float | None = Field(description="from a request to its answer")
    seconds_most: float | None


class TimeBin(Sums):
    defects: dict[str, int] = Field(description="by class; classes without defects are left out")


class Totals(Sums):
    defects: int


class Training(BaseModel):
    """What the model in service was trained on, to hold what comes against; null where its file does not say it."""

    brightness: tuple[float, float, float] | None = Field(
        description="of the training images' mean grey levels, the 1 %, 50 % and 99 % quantiles"
    )
    familiarity: float | None = Field(description="0.5, the mean over images like those, where the model tells it")


class Statistics(BaseModel):
    bins: list[TimeBin]
    totals: Totals
    training: Training


@router.get("/v1/statistics", response_model=Statistics)
def over_time(
    service: TheService, _: Viewer, since: Seconds, until: Seconds, bins: Annotated[int, Query(ge=1, le=500)] = 48
) -> dict[str, Any]:
    """Sums and means in equal intervals of time."""
    if until - since < 1:
        raise Refusal(422, f"`until` must be at least a second after `since`, not {until:g} after {since:g}")
    strip, background = service.settings.strip, service.models.current.background
    found = service.store.read(lambda connection: statistics(connection, since, until, bins, strip))
    # Familiarity is the share of normal images that are at least as strange, so its mean over them is a half.
    familiarity = 0.5 if background.get("familiarity") else None
    return found | {"training": {"brightness": background.get("brightness"), "familiarity": familiarity}}


@router.get("/v1/export.zip", response_class=Response, responses={200: {"content": {"application/zip": {}}}})
async def corrections_as_data(request: Request, service: TheService, reviewer: Reviewer) -> Response:
    """Everything that people judged as a data set for `sever train`: what `sever serve export` writes, zipped."""
    async with _one_at_a_time(request):
        folder = await asyncio.to_thread(_new_folder, service.store.folder)
        try:
            path = await asyncio.to_thread(_zip, service, folder)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, True)
            raise
    await service.store.write_soon(lambda c: note(c, reviewer.name, "corrections exported"))
    clear = BackgroundTask(shutil.rmtree, folder, True)
    return FileResponse(path, media_type="application/zip", filename="corrections.zip", background=clear)


def _new_folder(store: Path) -> Path:
    """A folder to work in; those that a killed service left, or that nobody fetched, are cleared first."""
    for old in store.glob(f"{WORKING}*"):
        if time.time() - old.stat().st_mtime > OLD_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=store, prefix=WORKING))


def _zip(service: Service, folder: Path) -> Path:
    try:
        export(service.store, folder / "corrections")
    except InputError as error:
        raise Refusal(409, str(error)) from error
    return Path(shutil.make_archive(str(folder / "corrections"), "zip", folder, "corrections"))


def _one_at_a_time(request: Request) -> asyncio.Lock:
    state = request.app.state
    if not hasattr(state, "export_lock"):
        state.export_lock = asyncio.Lock()
    found: asyncio.Lock = state.export_lock
    return found
