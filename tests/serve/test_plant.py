"""The line: files once each, also across kills; alarms by hand calculation; messages that wait for their receiver."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from closed import closed
from hypothesis import given
from hypothesis import strategies as st
from serve_kills import kill_while_watching
from serve_maker import GreyModel, Running, png, running, spots, wait_for
from sqlalchemy import func, select

from sever.config.serve import ServeSettings
from sever.deliver.serve.plant.periods import find_period
from sever.deliver.serve.storage import tables
from sever.pipeline.inference.inspection import Inspection

QUICK = {"poll_seconds": 0.02, "settle_seconds": 0.1}


def total(served: Running) -> int:
    with served.client("viewer") as client:
        return int(client.get("/v1/answers").json()["total"])


def watched(folder: Path, **more: object) -> dict:
    return {"watch": [{"path": str(folder), **QUICK, **more}]}


def test_files_are_inspected_as_they_come_and_say_where_they_lie(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pattern = r"(?P<coil>\w+)/(?P<position_m>[\d.]+)\.png"
    with running(tmp_path / "s", watched(folder, name_pattern=pattern)) as served:
        (folder / "C7").mkdir()
        (folder / "C7" / "12.5.png").write_bytes(png(spots()))
        (folder / "note.txt").write_text("no image")
        wait_for(lambda: total(served) == 1)
        with served.client() as client:
            (answer,) = client.get("/v1/answers?masks=runs").json()["answers"]
    assert (answer["coil"], answer["position_m"], answer["source"]) == ("C7", 12.5, "watch")
    assert answer["classes"][0]["area"] == 24


def test_a_file_that_grows_is_read_when_it_is_whole(tmp_path: Path) -> None:
    """Written in three parts, each well within the settling time of the one before."""
    folder = tmp_path / "in"
    folder.mkdir()
    data = png(spots())
    with running(tmp_path / "s", watched(folder, settle_seconds=0.5)) as served:
        with (folder / "slow.png").open("wb", buffering=0) as file:
            for part in range(3):
                file.write(data[part * len(data) // 3 : (part + 1) * len(data) // 3])
                threading.Event().wait(0.15)
        wait_for(lambda: total(served) == 1)
        faults = served.service.store.read(lambda c: c.execute(select(tables.files.c.fault)).scalars().all())
    assert faults == [None]


def test_a_folder_that_is_closed_holds_up_no_other_and_thumbnails_are_none(tmp_path: Path) -> None:
    """As a NAS leaves them beside every image, with names that end as images do."""
    folder = tmp_path / "in"
    for name in ("shut", "open", "@eaDir", ".thumbnails", "Thumbs"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.png").write_bytes(png(spots()))
    with closed(folder / "shut"), running(tmp_path / "s", watched(folder)) as served:
        wait_for(lambda: total(served) == 1)
    with running(tmp_path / "s", watched(folder)) as served:
        wait_for(lambda: total(served) == 2)
        names = served.service.store.read(lambda c: c.execute(select(tables.files.c.path)).scalars().all())
    assert sorted(Path(name).parent.name for name in names) == ["open", "shut"]


def test_a_file_that_is_no_image_is_noted_once_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "bad.png").write_bytes(b"no image")
    for _ in range(2):  # the second start knows it
        with running(tmp_path / "s", watched(folder, after="delete")) as served:
            (folder / "good.png").write_bytes(png(spots()))
            wait_for(lambda: not (folder / "good.png").exists())
            rows = served.service.store.read(lambda c: c.execute(select(tables.files)).mappings().all())
    assert (folder / "bad.png").exists()
    assert sum(row["fault"] is not None for row in rows) == 1


def test_one_file_that_fails_holds_up_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A name that is no text, a file of bytes without end, one on which the model fails, and folders of thumbnails."""
    folder = tmp_path / "in"
    for name in ("@eaDir", "thumbs", ".hidden", "deep"):
        (folder / name).mkdir(parents=True)
        (folder / name / "small.png").write_bytes(png(spots(seed=len(name))))
    strange = os.fsencode(folder) + b"/\xff.png"
    with open(strange, "wb") as file:  # noqa: PTH123  # a Path holds it, but this says what it is
        file.write(png(spots(seed=20)))
    with (folder / "endless.png").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "gone.png").symlink_to(folder / "nowhere")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.png").write_bytes(png(spots(seed=21)))
    (folder / "elsewhere.png").symlink_to(tmp_path / "elsewhere" / "x.png")
    (folder / "bad.png").write_bytes(png(spots(height=7)))
    os.utime(folder / "bad.png", (1, 1))  # the oldest, so that it comes first

    class Choosy(GreyModel):
        def inspect(self, images: Sequence[np.ndarray]) -> Sequence[Inspection]:
            if any(len(image) == 7 for image in images):
                raise RuntimeError("planted")
            return super().inspect(images)

    with running(tmp_path / "s", watched(folder) | {"batch": {"max_images": 1}}, Choosy()) as served:
        wait_for(lambda: total(served) == 4)
        with served.client() as client:
            names = {each["name"] for each in client.get("/v1/answers").json()["answers"]}
        wait_for(lambda: "bad.png could not be inspected; it is tried again" in caplog.text)
        (folder / "late.png").write_bytes(png(spots(seed=30)))
        wait_for(lambda: total(served) == 5)
    assert names == {"deep/small.png", "linked/x.png", "elsewhere.png", r"\xff.png"}
    assert "endless.png: it is larger than" in caplog.text
    assert caplog.text.count("could not be inspected") == 1, "it is left for a while"


def test_a_folder_that_is_not_there_is_told_once_and_watched_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path / "s", watched(tmp_path / "in")) as served:
        wait_for(lambda: "is not there; it is watched as soon as it is" in caplog.text)
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.png").write_bytes(png(spots()))
        wait_for(lambda: total(served) == 1)
    assert caplog.text.count("is not there") == 1


def test_a_camera_that_writes_one_file_again_and_again_is_followed(tmp_path: Path) -> None:
    camera = tmp_path / "camera.png"
    with running(tmp_path / "s", watched(camera)) as served:
        for seed in range(3):
            beside = tmp_path / "next"
            beside.write_bytes(png(spots(seed=seed)))
            beside.replace(camera)
            wait_for(lambda count=seed + 1: total(served) == count)
    assert total_of(tmp_path / "s") == 3


def total_of(folder: Path) -> int:
    import sqlite3

    with sqlite3.connect(folder / "sever.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM answers").fetchone()
    connection.close()
    return int(count)


def test_each_file_is_done_once_across_starts(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.png").write_bytes(png(spots(seed=number)))
    for _ in range(3):
        with running(tmp_path / "s", watched(folder)) as served:
            wait_for(lambda: total(served) >= 5)
            threading.Event().wait(0.3)
            assert total(served) == 5


def test_each_file_is_done_once_across_kills(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.png").write_bytes(png(spots(seed=number)))
    kill_while_watching(tmp_path / "s", folder, kills=2, wanted=40)
    assert total_of(tmp_path / "s") == 40
    assert not list(folder.iterdir()), "what was answered was deleted, and nothing else"


ALARMS = [
    {"name": "many", "kind": "count", "class_name": "bright", "defects": 3, "metres": 10},
    {"name": "large", "kind": "share", "class_name": "bright", "share": 0.04},
    {
        "name": "roll",
        "kind": "periodic",
        "class_name": "dark",
        "defects": 4,
        "metres": 3,
        "tolerance_m": 0.02,
        "rolls": [{"name": "R1", "circumference_m": 1.5}, {"name": "R2", "circumference_m": 2.0}],
    },
]


def test_alarms_by_hand(tmp_path: Path) -> None:
    """Images of 30 mm, one bright block of 24 pixels of 600 each (share 0.04) and one dark one.

    At 0, 2, 4, 6 m: the third is the third bright defect within 10 m; four dark marks 2.0 m apart are roll R2's.
    At 30 m the count of the last 10 m is one again.
    """
    with running(tmp_path, {"alarms": ALARMS}) as served, served.client() as client:
        for number, position in enumerate((0, 2, 4, 6, 30)):
            client.post(f"/v1/inspect?coil=A&position_m={position}", content=png(spots(seed=number)))
        client.post("/v1/inspect?coil=B&position_m=7", content=png(spots(seed=9)))
        clean = np.full((20, 30), 128, np.uint8)
        client.post("/v1/inspect?coil=A&position_m=31", content=png(clean))
        found = client.get("/v1/alarms").json()[::-1]
        by_rule = {name: [each for each in found if each["rule"] == name] for name in ("many", "large", "roll")}
        (many,), (roll,) = by_rule["many"], by_rule["roll"]
        assert (many["position_m"], many["about"]["defects"]) == (4, 3)
        assert len(by_rule["large"]) == 6, "every image with a block, in either coil"
        assert (roll["position_m"], roll["about"]["spacing_m"], roll["about"]["roll"]) == (6, 2.0, "R2")
        assert client.get("/v1/answers?alarmed=true").json()["total"] == 6
        assert client.post(f"/v1/alarms/{roll['id']}/seen").status_code == 204
        assert roll["id"] not in [each["id"] for each in client.get("/v1/alarms?unseen=true").json()]
        assert client.post("/v1/alarms/9999/seen").status_code == 404


@given(
    period=st.floats(0.8, 2.8),
    start=st.floats(0, 5),
    marks=st.integers(5, 12),
    noise=st.integers(0, 1000),
    strangers=st.integers(0, 6),
)
def test_a_planted_period_is_found_among_strangers(
    period: float, start: float, marks: int, noise: int, strangers: int
) -> None:
    random = np.random.default_rng(noise)
    along = start + period * np.arange(marks) + random.uniform(-0.004, 0.004, marks)
    others = random.uniform(start, start + marks * period, strangers)
    across = [*np.full(marks, 0.5), *random.uniform(0.7, 1.0, strangers)]
    found = find_period([*along, *others], across, 4, 3.0, 0.02)
    assert found is not None
    assert found.spacing == pytest.approx(period, abs=0.01)
    assert found.marks == marks


@pytest.mark.parametrize(
    ("along", "across", "least"),
    [
        ([], [], 3),
        ([1.0], [0.0], 3),
        ([0, 1, 2], [0, 0, 0], 4),
        ([0, 1, 2, 3], [0, 0.5, 0, 0.5], 3),
        ([0, 5, 10, 15], [0] * 4, 3),
    ],
)
def test_where_there_is_no_period_none_is_found(along: list, across: list, least: int) -> None:
    assert find_period(along, across, least, 3.0, 0.02) is None


class Receiver:
    """A webhook's other end; `up` False answers 503."""

    def __init__(self) -> None:
        self.up, self.got = True, list[tuple[str, dict, str]]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if outer.up:
                    signature = self.headers.get("x-sever-signature", "")
                    outer.got.append((self.headers["x-sever-topic"], json.loads(body), signature))
                    outer.raw = body
                self.send_response(200 if outer.up else 503)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_webhook_gets_every_answer_once_it_is_there_in_order_and_signed(tmp_path: Path, receiver: Receiver) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    hooks = {"webhooks": [{"url": receiver.url, "secret_file": str(secret), "send": "all"}], "alarms": ALARMS[1:2]}
    receiver.up = False
    with running(tmp_path / "s", hooks) as served, served.client() as client:
        for number in range(3):
            client.post(f"/v1/inspect?name={number}", content=png(spots(seed=number)))
        metrics = served.service.metrics.registry
        wait_for(
            lambda: metrics.get_sample_value("sever_sink_messages_total", {"sink": "webhook-1", "result": "failed"})
        )
    assert receiver.got == []
    receiver.up = True
    with running(tmp_path / "s", hooks) as served:  # the outbox outlived the service
        wait_for(lambda: len(receiver.got) == 6)
        wait_for(
            lambda: (
                served.service.store.read(lambda c: c.execute(select(func.count()).select_from(tables.outbox)).scalar())
                == 0
            )
        )
    assert [body["name"] for topic, body, _ in receiver.got if topic == "answers"] == ["0", "1", "2"]
    assert [body["rule"] for topic, body, _ in receiver.got if topic == "alarms"] == ["large"] * 3
    assert len({body["id"] for _, body, _ in receiver.got}) == 6
    assert receiver.got[-1][2] == hmac.new(b"s3cret", receiver.raw, hashlib.sha256).hexdigest()


def test_only_defects_are_sent_where_only_they_are_wanted(tmp_path: Path, receiver: Receiver) -> None:
    with running(tmp_path, {"webhooks": [{"url": receiver.url}]}) as served, served.client() as client:
        client.post("/v1/inspect?name=clean", content=png(np.full((20, 30), 128, np.uint8)))
        client.post("/v1/inspect?name=marked", content=png(spots()))
        wait_for(lambda: receiver.got)
    assert [body["name"] for _, body, _ in receiver.got] == ["marked"]


def test_a_broker_that_comes_late_gets_everything(tmp_path: Path) -> None:
    """A real MQTT broker (amqtt) in a process of its own, started after the answers were given."""
    pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed: pip install 'sever[plant]'")
    pytest.importorskip("amqtt", reason="amqtt, a broker, is not installed")
    from mqtt_broker import Broker

    broker = Broker()
    settings = {"mqtt": [{"host": "127.0.0.1", "port": broker.port, "topic": "line1", "send": "all"}]}
    with running(tmp_path, settings) as served, served.client() as client:
        for number in range(3):
            client.post(f"/v1/inspect?name={number}", content=png(spots(seed=number)))
        with broker.running() as got:
            wait_for(lambda: len(got) == 3)
    assert [topic for topic, _ in got] == ["line1/answers"] * 3
    assert [body["name"] for _, body in got] == ["0", "1", "2"]


def test_a_coil_as_map_table_picture_and_page(tmp_path: Path) -> None:
    """Two images 30 mm long at 0 and 1 m: the bright block's centre is at column 6, row 4."""
    with running(tmp_path) as served, served.client() as client:
        for position in (0, 1):
            client.post(f"/v1/inspect?coil=<C>&position_m={position}", content=png(spots(seed=position)))
        coil = {"coil": "<C>"}
        (listed,) = client.get("/v1/coils").json()
        assert (listed["coil"], listed["images"], listed["defects"], listed["metres"]) == ("<C>", 2, 4, 1.0)
        places = client.get("/v1/coils/map", params=coil).json()
        bright = [each for each in places if each["class_name"] == "bright"]
        assert [round(each["along"], 4) for each in bright] == [0.006, 1.006]
        assert [round(each["across"], 4) for each in bright] == [0.004] * 2
        table = client.get("/v1/coils/map.csv", params=coil).text.splitlines()
        assert table[0].startswith("position_m,across_m,class")
        assert len(table) == 5
        picture = client.get("/v1/coils/map.png", params=coil)
        drawn = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)
        assert drawn.shape[1] == 1600
        page = client.get("/v1/coils/map.html", params=coil)
        assert "&lt;C&gt;" in page.text
        assert "<C>" not in page.text
        assert "<script" not in page.text
        assert "attachment" in page.headers["content-disposition"]
        for form in ("", ".csv", ".png", ".html"):
            assert client.get(f"/v1/coils/map{form}", params={"coil": "none"}).status_code == 404


def test_a_coil_too_large_for_its_picture_is_whole_in_the_table_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture holds so many images, an answer so many defects by their places; what is counted is all of them."""
    monkeypatch.setattr("sever.deliver.serve.routes.coils.MOST_IMAGES", 2)
    dotted = np.full((40, 60), 128, np.uint8)
    dotted[::2, ::2] = 250  # 20 x 30 bright spots
    with running(tmp_path) as served, served.client() as client:
        for position in (2, 0, 1):
            client.post(f"/v1/inspect?coil=C&position_m={position}", content=png(spots(seed=position)))
        assert len(client.get("/v1/coils/map.csv", params={"coil": "C"}).text.splitlines()) == 1 + 3 * 2
        page = client.get("/v1/coils/map.html", params={"coil": "C"}).text
        assert "3 images, 2.0 m, 6 defects" in page
        assert "The picture shows the last 2 images." in page
        assert "The tables hold" not in page
        client.post("/v1/inspect?coil=D&position_m=0", content=png(dotted))
        assert client.get("/v1/coils").json()[0]["defects"] == 600
        places = client.get("/v1/coils/map", params={"coil": "D"}).json()
        assert len(places) == 200
        page = client.get("/v1/coils/map.html", params={"coil": "D"}).text
        assert "600 defects" in page
        assert "The tables hold the 200 defects" in page


def test_class_names_become_no_formulas_in_the_table() -> None:
    from sever.deliver.serve.plant.coil_map import coil_csv
    from sever.deliver.serve.plant.places import Place

    text = coil_csv([Place("a", "=cmd|' /C calc'!A0", 1, 1, 1, 1, 1, 0.5)])
    assert ",'=cmd" in text


@pytest.mark.parametrize("pattern", ["(", "(?P<other>x)"])
def test_a_pattern_that_says_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|unknown"):
        ServeSettings.model_validate({"watch": [{"path": "x", "name_pattern": pattern}]})


def test_a_stream_answers_in_order(served_once: Running) -> None:
    from websockets.asyncio.client import connect

    async def talk() -> list[dict]:
        url = served_once.url.replace("http", "ws") + "/v1/stream"
        headers = {"Authorization": f"Bearer {served_once.keys['reviewer']}"}
        found = []
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            for number, data in enumerate((png(spots()), b"no image", png(spots(seed=2)))):
                await socket.send(json.dumps({"name": str(number), "coil": "S", "position_m": 1.5}))
                await socket.send(data)
            for _ in range(3):
                found.append(json.loads(await socket.recv()))
        return found

    first, second, third = asyncio.run(talk())
    assert (first["answer"]["name"], first["answer"]["coil"], first["answer"]["source"]) == ("0", "S", "stream")
    assert second["error"]["status"] == 422
    assert third["answer"]["name"] == "2"


@pytest.mark.parametrize("kind", ["stranger", "viewer", "other site"])
def test_a_stream_is_refused_to_whom_it_is_not_for(served_once: Running, kind: str) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    headers = {"Authorization": f"Bearer {served_once.keys['viewer']}"} if kind == "viewer" else {}
    if kind == "other site":
        client = served_once.sign_in("reviewer")
        headers = {"Cookie": f"sever_session={client.cookies['sever_session']}", "Origin": "http://evil.example"}
        client.close()

    async def talk() -> None:
        url = served_once.url.replace("http", "ws") + "/v1/stream"
        async with connect(url, additional_headers=headers, proxy=None):
            pass

    with pytest.raises(InvalidStatus, match="403"):
        asyncio.run(talk())


@pytest.fixture(scope="module")
def served_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("store")) as found:
        yield found


def test_a_stop_answers_what_streams_have_sent(tmp_path: Path) -> None:
    """The image at work is answered; the next one is not taken, and the sender is told why."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async def talk(served: Running) -> tuple[dict, int]:
        headers = {"Authorization": f"Bearer {served.keys['reviewer']}"}
        url = served.url.replace("http", "ws") + "/v1/stream"
        served.model.hold.clear()
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            await socket.send(png(spots()))
            while not served.service.room.taken:
                await asyncio.sleep(0.01)
            served.server.should_exit = True
            await asyncio.sleep(0.3)
            served.model.hold.set()
            answer = json.loads(await socket.recv())
            with contextlib.suppress(ConnectionClosed):
                await socket.send(png(spots(seed=1)))
                await socket.recv()
            return answer, socket.close_code or 0

    with running(tmp_path) as served:
        answer, code = asyncio.run(talk(served))
    assert answer["answer"]["classes"][0]["area"] == 24
    assert code == 1012
    assert total_of(tmp_path) == 1


def test_a_stream_ends_with_its_key(tmp_path: Path) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async def talk(served: Running) -> int:
        headers = {"Authorization": f"Bearer {served.keys['reviewer']}"}
        url = served.url.replace("http", "ws") + "/v1/stream"
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            await socket.send(png(spots()))
            assert "answer" in json.loads(await socket.recv())
            with served.client("admin") as admin:
                assert admin.delete("/v1/keys/reviewer-key").status_code == 204
            await socket.send(png(spots(seed=1)))
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            return socket.close_code or 0

    with running(tmp_path) as served:
        assert asyncio.run(talk(served)) == 1008
    assert total_of(tmp_path) == 1


def test_a_text_that_is_no_json_ends_the_stream(served_once: Running) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async def talk() -> int:
        url = served_once.url.replace("http", "ws") + "/v1/stream"
        headers = {"Authorization": f"Bearer {served_once.keys['reviewer']}"}
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            await socket.send("{")
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code

    assert asyncio.run(talk()) == 1003
    assert httpx.get(f"{served_once.url}/health/ready", trust_env=False).status_code == 200


def test_images_beside_the_strip_are_cut_at_the_edge_of_the_map(served_once: Running) -> None:
    """A strip wanders, and a camera may begin before its head."""
    with served_once.client() as client:
        for number, place in enumerate(({"across_m": -0.005, "position_m": 1}, {"position_m": -9}, {"across_m": -9})):
            about = {"coil": f"beside {number}", **place}
            assert client.post("/v1/inspect", content=png(spots()), params=about).status_code == 200
            for form in ("", ".csv", ".png", ".html"):
                assert client.get(f"/v1/coils/map{form}", params={"coil": about["coil"]}).status_code == 200
