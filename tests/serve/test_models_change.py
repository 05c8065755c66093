"""Models change while images come: none is lost, each answer names who gave it; a shadow is only compared."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from serve_maker import GreyModel, Running, png, running, spots, wait_for

from sever.errors import InputError


def change(served: Running, path: str, name: str | None = None) -> dict:
    with served.client("admin") as client:
        answer = client.post(f"/v1/models/{path}", json={"name": name} if path != "rollback" else None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_change_under_load_loses_nothing_and_every_answer_names_its_model(tmp_path: Path) -> None:
    """The new model's threshold finds the dark block, too large for the old one's (0.99): areas tell who answered."""
    old, new = GreyModel("old", "old-1", 0.99), GreyModel("new", "new-1", 0.75)
    with running(tmp_path, {"limits": {"max_waiting": 100}}, old, {"next": new}) as served, served.client() as client:
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(client.post, "/v1/inspect", content=png(spots(seed=n))) for n in range(30)]
            wait_for(lambda: sum(old.batches) >= 5)
            state = change(served, "current", "next")
            jobs += [pool.submit(client.post, "/v1/inspect", content=png(spots(seed=n))) for n in range(30, 40)]
            answers = [job.result().json() for job in jobs]
        assert state["current"]["identity"] == "new-1"
        assert state["previous"]["identity"] == "old-1"
        areas = {(each["model"]["identity"], each["classes"][0]["area"]) for each in answers}
        assert areas == {("old-1", 0), ("new-1", 24)}
        assert new.batches[0] == 1, "the first image it saw was the empty one of the warm-up"
        assert answers[-1]["model"]["identity"] == "new-1"
        assert change(served, "rollback")["current"]["identity"] == "old-1"
        assert client.post("/v1/inspect", content=png(spots())).json()["model"]["identity"] == "old-1"
        assert client.get("/v1/answers", params={"model": "new-1"}).json()["total"] == sum(
            each["model"]["identity"] == "new-1" for each in answers
        )
    assert len({each["id"] for each in answers}) == 40


def test_an_image_that_waits_is_answered_by_the_model_of_its_arrival(tmp_path: Path) -> None:
    old, new = GreyModel("old", "old-1"), GreyModel("new", "new-1")
    with running(tmp_path, model=old, others={"next": new}) as served, served.client() as client:
        old.hold.clear()
        with ThreadPoolExecutor(4) as pool:
            first = pool.submit(client.post, "/v1/inspect", content=png(spots()))
            wait_for(lambda: served.service.room.taken == 1)
            taken = pool.submit(change, served, "current", "next")
            waiting = pool.submit(client.post, "/v1/inspect", content=png(spots(seed=1)))
            wait_for(lambda: served.service.room.taken == 2)
            old.hold.set()
            taken.result()
            named = [job.result().json()["model"]["identity"] for job in (first, waiting)]
    assert named == ["old-1", "old-1"]


def test_a_model_that_cannot_serve_changes_nothing(tmp_path: Path) -> None:
    other = GreyModel("other", "other-1", class_names=("bright", "else"))
    broken = GreyModel("broken", "broken-1", fail=True)
    with running(tmp_path, others={"other": other, "broken": broken}) as served, served.client("admin") as client:

        def lost() -> GreyModel:
            raise InputError("the file is damaged")

        served.service.models.available["lost"] = lost  # type: ignore[index]
        for name, status in (("other", 409), ("../etc", 404), ("lost", 422), ("broken", 500)):
            answer = client.post("/v1/models/current", json={"name": name})
            assert answer.status_code == status, answer.text
        assert client.post("/v1/models/rollback").status_code == 409
        assert client.get("/v1/models").json()["current"]["identity"] == "grey-1"
        assert client.post("/v1/inspect", content=png(spots())).status_code == 200


def test_a_shadow_is_compared_counted_and_listed(tmp_path: Path) -> None:
    """The shadow's threshold of 0.99 misses the bright block (250/255 = 0.98): it differs on images that have one."""
    shadow = GreyModel("strict", "strict-1", 0.99)
    with running(tmp_path, others={"strict": shadow}) as served, served.client("admin") as client:
        change(served, "shadow", "strict")
        with_defects = client.post("/v1/inspect", content=png(spots())).json()
        clean = client.post("/v1/inspect", content=png(np.full((20, 30), 128, np.uint8))).json()
        wait_for(lambda: client.get("/v1/models/shadow").json()["compared"] == 2)
        report = client.get("/v1/models/shadow").json()
        (difference,) = report["differences"]
        bright = difference["classes"][0]
        assert report["differing"] == 1
        assert difference["answer"] == with_defects["id"]
        assert (bright["class"], bright["area"], bright["shadow_area"], bright["iou"]) == ("bright", 24, 0, 0.0)
        assert {with_defects["model"]["identity"], clean["model"]["identity"]} == {"grey-1"}
        change(served, "shadow", None)
        before = list(shadow.batches)
        client.post("/v1/inspect", content=png(spots(seed=2)))
        assert shadow.batches == before


def test_a_shadow_that_fails_harms_nobody(tmp_path: Path) -> None:
    shadow = GreyModel("frail", "frail-1")
    with running(tmp_path, others={"frail": shadow}) as served, served.client("admin") as client:
        change(served, "shadow", "frail")
        shadow.fail = True
        for seed in range(3):
            assert client.post("/v1/inspect", content=png(spots(seed=seed))).status_code == 200
        shadow.fail = False
        client.post("/v1/inspect", content=png(spots(seed=9)))
        wait_for(lambda: client.get("/v1/models/shadow").json()["compared"] >= 1)


@pytest.mark.parametrize("others", [{}, {"next": GreyModel("next", "next-1")}])
def test_rollback_goes_there_and_back(tmp_path: Path, others: dict) -> None:
    with running(tmp_path, others=others) as served:
        if not others:
            with served.client("admin") as client:
                assert client.post("/v1/models/rollback").status_code == 409
            return
        change(served, "current", "next")
        assert [change(served, "rollback")["current"]["identity"] for _ in range(2)] == ["grey-1", "next-1"]
        with served.client("admin") as client:
            actions = [each["action"] for each in client.get("/v1/audit").json()]
        assert actions.count("model rolled back") == 2
