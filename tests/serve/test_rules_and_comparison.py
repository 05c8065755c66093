"""Rules that people try, save and take back; and a new model beside the old one on what people judged."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from serve_maker import GreyModel, Running, png, running, spots, wait_for

from sever.data import rle
from sever.deliver.serve.security.audit import first_broken

BRIGHT_THEN_DARK = (0.75, 0.75)


def rules(*thresholds: float, areas: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    return {"pixel_threshold": list(thresholds), "min_pixels": list(areas)}


def counted(client: httpx.Client, tried: dict[str, Any]) -> dict[str, Any]:
    """The count when all of the last images were looked at."""
    found: dict[str, Any] = {}

    def is_whole() -> bool:
        answer = client.post("/v1/rules/trial", json=tried)
        assert answer.status_code == 200, answer.text
        found.update(answer.json())
        return not found["still_coming"]

    wait_for(is_whole)
    return found


def send(client: httpx.Client, count: int, **query: Any) -> list[str]:
    return [client.post("/v1/inspect", content=png(spots(seed=n)), params=query).json()["id"] for n in range(count)]


def test_how_many_of_the_last_images_change_is_what_drawing_them_says(tmp_path: Path) -> None:
    """Of every image the bright block is 24 pixels at level 250 (0.98), the dark one 6 at 0.96; one has no block."""
    with running(tmp_path) as served, served.client() as client:
        uids = send(client, 3)
        clean = client.post("/v1/inspect", content=png(np.full((20, 30), 128, np.uint8))).json()["id"]
        same = counted(client, rules(*BRIGHT_THEN_DARK))
        assert (same["last"], same["images"], same["changed"]) == (4, 4, 0)
        no_dark = counted(client, rules(0.75, 0.75, areas=(0, 7)))
        assert (no_dark["changed"], no_dark["called_otherwise"]) == (3, 3)
        assert no_dark["classes"] == [
            {"class": "bright", "more": 0, "fewer": 0},
            {"class": "dark", "more": 0, "fewer": 3},
        ]
        assert set(no_dark["listed"]) == set(uids)
        all_bright = counted(client, rules(0.5, 0.75))  # 128 / 255 is above a half: all but the spot is bright
        assert (all_bright["changed"], all_bright["called_otherwise"]) == (4, 1)
        drawn = client.post("/v1/rules/draw", json=rules(0.5, 0.75) | {"answer": clean}).json()
        assert rle.decode(drawn[0]["runs"], 20, 30).all()
        assert client.get(f"/v1/answers/{clean}").json()["num_defects"] == 0, "nothing of it is kept"


def test_only_the_last_images_count_and_those_that_are_gone_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sever.deliver.serve.rule_trial.LAST", 2)
    with running(tmp_path) as served, served.client() as client:
        uids = send(client, 4)
        gone = client.get(f"/v1/answers/{uids[-1]}").json()["image"]["sha256"]
        served.service.store.pictures.drop(gone)
        found = counted(client, rules(0.75, 0.75, areas=(0, 7)))
    assert (found["last"], found["images"], found["changed"]) == (2, 1, 1)


def test_counts_come_one_after_the_other_and_too_many_are_refused(tmp_path: Path) -> None:
    with running(tmp_path) as served, served.client() as client:
        send(client, 1)
        counted(client, rules(*BRIGHT_THEN_DARK))
        served.service.rule_trial._counting = 4
        refused = client.post("/v1/rules/trial", json=rules(*BRIGHT_THEN_DARK))
        assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
        served.service.rule_trial._counting = 0
        assert client.post("/v1/rules/trial", json=rules(*BRIGHT_THEN_DARK)).status_code == 200


def test_saved_rules_are_versions_that_survive_a_restart_and_go_back(tmp_path: Path) -> None:
    evidence = [{"thresholds": [0.5], "areas": [0], "images": 1, "dice": [[1.0]]}]
    model = GreyModel(background={"rule_evidence": evidence})
    with running(tmp_path, model=model) as served, served.client("admin") as admin:
        before = admin.get("/v1/rules").json()
        assert (before["version"], before["versions"], before["evidence"]) == (0, [], evidence)
        saved = admin.post("/v1/rules", json=rules(0.75, 0.75, areas=(0, 7)) | {"note": "specks"})
        assert saved.status_code == 201, saved.text
        assert saved.json()["current"]["rules_version"] == 1
        first = admin.post("/v1/inspect", content=png(spots())).json()
        assert first["classes"][1]["area"] == 0
        admin.post("/v1/rules", json=rules(0.99, 0.99))
        assert admin.post("/v1/inspect", content=png(spots(seed=1))).json()["num_defects"] == 0
        assert admin.post("/v1/rules/current", json={"version": 1}).status_code == 200
    with running(tmp_path) as served, served.client("admin") as admin:
        state = admin.get("/v1/rules").json()
        assert state["version"] == 1
        assert [(each["version"], each["note"], each["author"]) for each in state["versions"]] == [
            (2, "", "key admin-key"),
            (1, "specks", "key admin-key"),
        ]
        assert admin.post("/v1/inspect", content=png(spots(seed=2))).json()["model"]["rules"] == first["model"]["rules"]
        assert admin.post("/v1/models/rollback").status_code == 409, "nothing was changed since the restart"
        assert admin.post("/v1/rules/current", json={"version": 0}).json()["current"]["rules_version"] == 0
        assert admin.post("/v1/models/rollback").json()["current"]["rules_version"] == 1
        assert admin.get("/v1/rules").json()["version"] == 1
        assert admin.post("/v1/rules/current", json={"version": 9}).status_code == 404
        actions = [each["action"] for each in admin.get("/v1/audit").json()]
        assert actions.count("rules saved") == 2
        assert served.service.store.read(first_broken) is None


def test_rules_are_tried_by_reviewers_and_changed_by_admins(tmp_path: Path) -> None:
    with running(tmp_path) as served:
        with served.client("viewer") as viewer:
            assert viewer.get("/v1/rules").status_code == 200
            assert viewer.post("/v1/rules/trial", json=rules(0.5, 0.5)).status_code == 403
        with served.client() as reviewer:
            assert reviewer.post("/v1/rules", json=rules(0.5, 0.5)).status_code == 403
            assert reviewer.post("/v1/rules/current", json={"version": 0}).status_code == 403
            for bad in (rules(0.5), rules(0.5, 0.5, 0.5), rules(0.5, 1.5), rules(0.5, 0.5, areas=(-1, 0))):
                assert reviewer.post("/v1/rules/trial", json=bad).status_code == 422
            assert reviewer.post("/v1/rules/draw", json=rules(0.5, 0.5) | {"answer": "no"}).status_code == 404


def test_a_database_of_before_gets_the_tables_of_rules(tmp_path: Path) -> None:
    with running(tmp_path) as served, served.client() as client:
        send(client, 1)
    with sqlite3.connect(tmp_path / "sever.db") as connection:
        connection.executescript("DROP TABLE rule_sets; UPDATE alembic_version SET version_num = '0001';")
    connection.close()
    with running(tmp_path) as served, served.client("admin") as admin:
        assert admin.get("/v1/answers").json()["total"] == 1
        assert admin.post("/v1/rules", json=rules(0.5, 0.75)).status_code == 201


def compared(served: Running, name: str) -> dict[str, Any]:
    with served.client("admin") as admin:
        begun = admin.post("/v1/models/comparison", json={"name": name})
        assert begun.status_code == 202, begun.text
        wait_for(lambda: admin.get("/v1/models/comparison").json()["is_over"])
        found: dict[str, Any] = admin.get("/v1/models/comparison").json()
    return found


def test_a_new_model_beside_the_old_one_on_what_people_said(tmp_path: Path) -> None:
    """The old one calls nothing (threshold 0.99). On image 0 people accept that; on image 1 they say that the bright
    block is one and the dark spot is none, of which the new one draws the first, and the second, too."""
    old, new = GreyModel("old", "old-1", 0.99), GreyModel("new", "new-1", 0.75)
    with running(tmp_path, model=old, others={"next": new}) as served:
        with served.client() as client:
            first, second, _ = send(client, 3)
            client.post(f"/v1/answers/{first}/corrections", json={"base": 0, "verdict": "accepted"})
            block = np.zeros((20, 30), np.uint8)
            block[2:6, 3:9] = 1
            masks = [{"class": "bright", "runs": rle.encode(block)}]
            client.post(f"/v1/answers/{second}/corrections", json={"base": 0, "verdict": "corrected", "masks": masks})
            seen = client.get(f"/v1/answers/{first}").json()["image"]["sha256"]
        new.seen = frozenset({seen})
        found = compared(served, "next")
        assert (found["total"], found["done"], found["left_out"], found["fault"]) == (2, 2, 0, None)
        # Dice of (bright, dark): image 0 old (1, 1), new (0, 0); image 1 old (0, 1), new (1, 0).
        assert (found["all"]["now"], found["all"]["new"]) == (0.75, 0.25)
        assert found["unseen"]["images"] == 1
        assert found["unseen"]["classes"] == [
            {"class": "bright", "now": 0.0, "new": 1.0},
            {"class": "dark", "now": 1.0, "new": 0.0},
        ]
        assert found["knows_seen"]
        assert {each["answer"]: each["is_seen"] for each in found["images"]} == {first: True, second: False}
        with served.client("viewer") as viewer:
            pictures = {
                side: viewer.get(f"/v1/models/comparison/{second}/{side}.png").content
                for side in ("people", "now", "new")
            }
            assert viewer.get("/v1/models/comparison/nothing/now.png").status_code == 404
            assert viewer.get(f"/v1/models/comparison/{second}/other.png").status_code == 422
        assert len(set(pictures.values())) == 3
        assert served.service.models.current.identity == "old-1", "nothing is taken by comparing"


def test_a_comparison_needs_judged_images_and_an_admin(tmp_path: Path) -> None:
    with running(tmp_path, others={"next": GreyModel("new", "new-1")}) as served:
        with served.client() as client:
            assert client.get("/v1/models/comparison").json() is None
            assert client.post("/v1/models/comparison", json={"name": "next"}).status_code == 403
            uid = send(client, 1)[0]
        with served.client("admin") as admin:
            assert admin.post("/v1/models/comparison", json={"name": "next"}).status_code == 409
            admin.post(f"/v1/answers/{uid}/corrections", json={"base": 0, "verdict": "accepted"})
            assert admin.post("/v1/models/comparison", json={"name": "else"}).status_code == 404
            digest = admin.get(f"/v1/answers/{uid}").json()["image"]["sha256"]
            served.service.store.pictures.drop(digest)
        found = compared(served, "next")
    assert (found["done"], found["left_out"], found["all"]["images"], found["all"]["now"]) == (0, 1, 0, None)
