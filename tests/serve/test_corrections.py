"""People's words on answers: to the pixel, in versions, never over each other's; and back as training data."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import sever
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from serve_maker import Running, png, running, spots

from sever.config import DataSettings
from sever.data import rle
from sever.data.layouts import read_table


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("store")) as found:
        yield found


def new_answer(served: Running, seed: int = 0, **query: object) -> str:
    with served.client() as client:
        return str(client.post("/v1/inspect", content=png(spots(seed=seed)), params=query).json()["id"])


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(mask=arrays(np.uint8, (20, 30), elements=st.sampled_from([0, 0, 1])), as_png=st.booleans())
def test_a_mask_comes_back_to_the_pixel(served: Running, mask: np.ndarray, as_png: bool) -> None:
    uid = new_answer(served)
    data = base64.b64encode(png(mask * 255)).decode()
    given_mask = {"class": "dark"} | ({"mask_png": data} if as_png else {"runs": rle.encode(mask)})
    body = {"base": 0, "verdict": "corrected", "masks": [given_mask]}
    with served.client() as client:
        kept = client.post(f"/v1/answers/{uid}/corrections", json=body)
        assert kept.status_code == 201, kept.text
        (version,) = client.get(f"/v1/answers/{uid}/corrections").json()
    assert version == kept.json()
    masks = {each["class"]: rle.decode(each["runs"], 20, 30) for each in version["masks"]}
    assert (masks["dark"] == mask).all()
    assert not masks["bright"].any(), "a class that is left out is empty"


def test_verdicts_state_the_whole_truth(served: Running) -> None:
    uid = new_answer(served)
    with served.client() as client:
        for base, verdict in enumerate(("accepted", "rejected")):
            sent = client.post(f"/v1/answers/{uid}/corrections", json={"base": base, "verdict": verdict, "note": "<b>"})
            assert sent.json()["version"] == base + 1
        accepted, rejected = client.get(f"/v1/answers/{uid}/corrections").json()
        answer = client.get(f"/v1/answers/{uid}").json()
    assert [each["runs"] for each in accepted["masks"]] == [each["runs"] for each in answer["classes"]]
    assert [each["runs"] for each in rejected["masks"]] == ["", ""]
    assert (answer["verdict"], answer["version"]) == ("rejected", 2)
    assert accepted["author"] == "key reviewer-key"


def test_the_second_of_two_reviewers_is_told_who_was_first(served: Running) -> None:
    uid = new_answer(served)
    first, second = served.sign_in("reviewer"), served.sign_in("admin")
    path = f"/v1/answers/{uid}/corrections"
    assert first.post(path, json={"base": 0, "verdict": "accepted"}).status_code == 201
    refused = second.post(path, json={"base": 0, "verdict": "rejected"})
    assert refused.status_code == 409
    assert "reviewer saved version 1 (accepted)" in refused.json()["error"]["message"]
    assert second.post(path, json={"base": 1, "verdict": "rejected"}).status_code == 201, "having seen it, he may"
    assert second.post(path, json={"base": 5, "verdict": "rejected"}).status_code == 409
    assert [each["author"] for each in first.get(path).json()] == ["reviewer", "admin"]
    first.close()
    second.close()


def test_of_many_at_once_one_wins_and_none_is_lost(served: Running) -> None:
    uid = new_answer(served)
    with served.client() as client, ThreadPoolExecutor(8) as pool:
        body = {"base": 0, "verdict": "accepted"}
        jobs = [pool.submit(client.post, f"/v1/answers/{uid}/corrections", json=body) for _ in range(8)]
        statuses = sorted(job.result().status_code for job in jobs)
    assert statuses == [201] + [409] * 7


def test_what_is_sent_again_is_kept_once(served: Running) -> None:
    uid, other = new_answer(served), new_answer(served)
    key = {"idempotency-key": "page 7, stroke 3"}
    with served.client() as client:
        path, body = f"/v1/answers/{uid}/corrections", {"base": 0, "verdict": "accepted"}
        first = client.post(path, json=body, headers=key)
        again = client.post(path, json=body, headers=key)
        assert first.json() == again.json()
        assert len(client.get(path).json()) == 1
        assert client.post(f"/v1/answers/{other}/corrections", json=body, headers=key).status_code == 409


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"masks": [{"class": "dark", "runs": "0 5"}]}, "below 1"),
        ({"masks": [{"class": "dark", "runs": "599 5"}]}, "600 pixels"),
        ({"masks": [{"class": "dark", "runs": "x"}]}, "not a whole number"),
        ({"masks": [{"class": "none", "runs": ""}]}, "unknown"),
        ({"masks": [{"class": "dark", "runs": ""}, {"class": "dark", "runs": ""}]}, "twice"),
        ({"masks": [{"class": "dark"}]}, "one of them"),
        ({"masks": [{"class": "dark", "mask_png": "!"}]}, "base64"),
        ({"masks": [{"class": "dark", "mask_png": base64.b64encode(png(spots(9, 9))).decode()}]}, "20 rows"),
        ({"verdict": "accepted", "masks": [{"class": "dark", "runs": ""}]}, "corrected"),
        ({"verdict": "perhaps"}, "verdict"),
        ({"base": -1}, "base"),
    ],
)
def test_what_is_no_correction_is_refused(served: Running, changes: dict, words: str) -> None:
    uid = new_answer(served)
    with served.client() as client:
        body = {"base": 0, "verdict": "corrected"} | changes
        refused = client.post(f"/v1/answers/{uid}/corrections", json=body)
        assert refused.status_code == 422, refused.text
        assert words in refused.json()["error"]["message"]
        assert client.get(f"/v1/answers/{uid}").json()["version"] == 0
    with served.client("viewer") as client:
        assert client.post(f"/v1/answers/{uid}/corrections", json=body).status_code == 403


def test_probabilities_for_the_magic_wand(served: Running) -> None:
    uid = new_answer(served)
    with served.client() as client:
        found = client.get(f"/v1/answers/{uid}/probabilities.png", params={"class_name": "bright"})
        assert client.get(f"/v1/answers/{uid}/probabilities.png", params={"class_name": "x"}).status_code == 404
    levels = cv2.imdecode(np.frombuffer(found.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (levels == spots()).all()
    assert found.headers["x-sever-model"] == "grey-1"


def test_the_loop_closes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Judged answers become a data set that our own reader reads: masks to the pixel, groups by coil."""
    drawn = np.zeros((20, 30), np.uint8)
    drawn[5:9, 7:12] = 1
    with running(tmp_path / "s") as served, served.client() as client:
        ids = [new_answer(served, seed, coil=f"coil {seed // 2}") for seed in range(5)]
        raw = np.arange(600, dtype="<u2").reshape(20, 30) * 100
        header = {"content-type": "application/octet-stream"}
        query = {"height": 20, "width": 30, "bits": 16, "coil": "raw"}
        ids.append(client.post("/v1/inspect", content=raw.tobytes(), params=query, headers=header).json()["id"])
        words = [
            {"verdict": "accepted"},
            {"verdict": "rejected"},
            {"verdict": "corrected"},
            None,
            {"verdict": "accepted"},
        ]
        words[2]["masks"] = [
            {"class": "bright", "runs": rle.encode(drawn)},
            {"class": "dark", "runs": rle.encode(drawn)},
        ]
        for uid, word in zip(ids, [*words, {"verdict": "rejected"}], strict=True):
            if word is not None:
                assert client.post(f"/v1/answers/{uid}/corrections", json={"base": 0, **word}).status_code == 201
        assert sever("serve", "export", "--store", tmp_path / "s", "-o", tmp_path / "data") == 0
        digests = [client.get(f"/v1/answers/{uid}").json()["image"]["sha256"][:24] for uid in ids]
    assert "5 images" in capsys.readouterr().out
    root = tmp_path / "data"
    table, skipped = read_table(DataSettings(root=root, groups=root / "groups.csv"))
    assert skipped == []
    assert table.class_names == ("bright", "dark")
    found = {table.image_ids[row].split(".")[0]: row for row in range(len(table))}
    assert set(found) == {digests[index] for index in (0, 1, 2, 4, 5)}
    groups = [table.frame["group"][found[digests[index]]] for index in (0, 1, 2, 4, 5)]
    assert groups == ["coil 0", "coil 0", "coil 1", "coil 2", "raw"]
    masks = table.mask(found[digests[2]])
    assert (masks == np.stack([drawn, drawn])).all(), "classes may overlap, and nothing is lost"
    assert table.mask(found[digests[0]])[0].sum() == 24
    assert not table.mask(found[digests[1]]).any()
    again = cv2.imread(str(table.path(found[digests[5]])), cv2.IMREAD_UNCHANGED)
    assert again.dtype == np.uint16
    assert (again == raw).all()


def test_the_last_judgement_counts_though_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two answers to one image: what was judged last goes into the data set, whatever its time says."""
    with running(tmp_path / "s") as served, served.client() as client:
        first, second = new_answer(served), new_answer(served)
        assert first != second
        client.post(f"/v1/answers/{first}/corrections", json={"base": 0, "verdict": "accepted"})
        monkeypatch.setattr(time, "time", lambda: 1e9)
        client.post(f"/v1/answers/{second}/corrections", json={"base": 0, "verdict": "rejected"})
        monkeypatch.undo()
    assert sever("serve", "export", "--store", tmp_path / "s", "-o", tmp_path / "data") == 0
    table, _ = read_table(DataSettings(root=tmp_path / "data"))
    assert len(table) == 1
    assert not table.mask(0).any()
