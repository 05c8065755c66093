"""Images over HTTP on loopback, answered as computed by hand; what is too much, too late or no image is refused."""

from __future__ import annotations

import base64
import contextlib
import io
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image
from serve_maker import GreyModel, Running, png, running, spots, wait_for

from sever.data import rle

LIMITS = {
    "limits": {"max_bytes": 200_000, "max_pixels": 40_000, "max_waiting": 4, "max_images": 3, "body_seconds": 1.0}
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("store"), LIMITS) as found:
        yield found


def check_spots(answer: dict) -> None:
    bright, dark = answer["classes"]
    assert (bright["class"], bright["area"], bright["num_defects"]) == ("bright", 24, 1)
    assert bright["box"] == [3, 2, 9, 6]
    assert bright["confidence"] == pytest.approx(250 / 255, abs=1e-3)
    assert bright["area_share"] == pytest.approx(24 / 600)
    assert (dark["area"], dark["box"]) == (6, [20, 12, 22, 15])
    mask = np.zeros((20, 30), np.uint8)
    mask[2:6, 3:9] = 1
    assert (rle.decode(bright["runs"], 20, 30) == mask).all()
    assert answer["num_defects"] == 2


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp"])
def test_a_file_is_answered_as_computed_by_hand(served: Running, suffix: str) -> None:
    with served.client() as client:
        answer = client.post("/v1/inspect", content=png(spots(), suffix), params={"name": "a<b>", "coil": "7"})
    assert answer.status_code == 200
    check_spots(answer.json())
    assert answer.json()["name"] == "a<b>"
    assert answer.json()["model"]["identity"] == "grey-1"


def test_a_jpeg_is_answered(served: Running) -> None:
    with served.client() as client:
        found = client.post("/v1/inspect", content=png(spots(), ".jpg")).json()
    assert abs(found["classes"][0]["area"] - 24) <= 6


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_raw_pixels_are_answered_like_the_file(served: Running, bits: int, channels: int) -> None:
    pixels = np.repeat(spots()[..., None], channels, axis=2)
    data = pixels.tobytes() if bits == 8 else (pixels.astype("<u2") << 8).tobytes()
    query = {"height": 20, "width": 30, "channels": channels, "bits": bits}
    with served.client() as client:
        sent = client.post(
            "/v1/inspect", content=data, params=query, headers={"content-type": "application/octet-stream"}
        )
        check_spots(sent.json())
        uid = sent.json()["id"]
        assert client.get(f"/v1/answers/{uid}/image").content == data
        shown = cv2.imdecode(np.frombuffer(client.get(f"/v1/answers/{uid}/image.png").content, np.uint8), 0)
    assert (shown == spots()).all()


def test_colours_of_raw_pixels_are_rgb(tmp_path: Path) -> None:
    """Pure red: luminance 0.299, so 76 of 255; a mix-up with blue would give 29."""
    red = np.zeros((10, 10, 3), np.uint8)
    red[..., 0] = 255
    seen = []

    class Spy(GreyModel):
        def inspect(self, images):  # type: ignore[no-untyped-def]
            seen.extend(int(image[0, 0, 0]) for image in images if image.shape[0] == 10)
            return super().inspect(images)

    with running(tmp_path, model=Spy()) as served, served.client() as client:
        query = {"height": 10, "width": 10, "channels": 3}
        header = {"content-type": "application/octet-stream"}
        assert client.post("/v1/inspect", content=red.tobytes(), params=query, headers=header).status_code == 200
        assert client.post("/v1/inspect", content=png(red[..., ::-1])).status_code == 200
    assert seen == [76, 76]


def test_masks_as_png_and_not_at_all(served: Running) -> None:
    with served.client() as client:
        as_png = client.post("/v1/inspect?masks=png", content=png(spots())).json()["classes"][0]
        without = client.post("/v1/inspect?masks=none", content=png(spots())).json()["classes"][0]
    mask = cv2.imdecode(np.frombuffer(base64.b64decode(as_png["mask_png"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (mask > 0).sum() == 24
    assert mask[2:6, 3:9].min() == 255
    assert "runs" not in without
    assert "mask_png" not in without


def test_a_batch_answers_each_image_or_says_what_is_wrong_with_it(served: Running) -> None:
    files = [("images", ("one.png", png(spots()))), ("images", ("<two>", b"no image"))]
    with served.client() as client:
        first, second = client.post("/v1/inspect/batch", files=files).json()["answers"]
        too_many = client.post("/v1/inspect/batch", files=[("images", (str(n), b"x")) for n in range(4)])
    check_spots(first["answer"])
    assert second["name"] == "<two>"
    assert second["error"]["status"] == 422
    assert too_many.status_code == 413
    assert "at most 3 images" in too_many.text


def test_a_file_that_is_called_any_bytes_is_a_file(served: Running) -> None:
    with served.client() as client:
        check_spots(
            client.post(
                "/v1/inspect", content=png(spots()), headers={"content-type": "application/octet-stream"}
            ).json()
        )


def test_more_images_than_there_are_places_are_too_many_for_good(tmp_path: Path) -> None:
    """429 would say that another time would do."""
    files = [("images", (str(number), png(spots(seed=number)))) for number in range(3)]
    with running(tmp_path, {"limits": {"max_waiting": 2}}) as served, served.client() as client:
        assert client.post("/v1/inspect/batch", files=files[:2]).status_code == 200
        refused = client.post("/v1/inspect/batch", files=files)
    assert refused.status_code == 413
    assert "limits.max_waiting" in refused.text


def test_a_request_key_is_of_one_image(served: Running) -> None:
    key = {"idempotency-key": "of one"}
    with served.client() as client:
        first = client.post("/v1/inspect", content=png(spots()), headers=key).json()
        assert client.post("/v1/inspect", content=png(spots()), headers=key).json() == first
        assert client.post("/v1/inspect", content=png(spots(seed=1)), headers=key).status_code == 409


def test_overlay_draws_and_keeps_nothing(served: Running) -> None:
    with served.client() as client:
        before = client.get("/v1/answers").json()["total"]
        picture = client.post("/v1/overlay", content=png(spots()))
        assert client.get("/v1/answers").json()["total"] == before
    drawn = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)
    assert (drawn[2, 3] != 250).any(), "the contour lies on the mask's outermost pixels"
    assert (drawn[3:5, 4:8] == 250).all()


@pytest.mark.parametrize(
    ("content", "query", "kind", "status", "words"),
    [
        (b"", {}, "image/png", 422, "empty"),
        (b"\x89PNG\r\n\x1a\nxxxx", {}, "image/png", 422, "damaged"),
        (png(spots())[:-30], {}, "image/png", 422, "truncated"),
        (bytes(100), {}, "application/octet-stream", 422, "height"),
        (bytes(100), {"height": 10, "width": 11}, "application/octet-stream", 422, "110 bytes, but 100"),
        (bytes(100), {"height": 10, "width": "x"}, "application/octet-stream", 422, "width"),
        (bytes(10), {"height": 10**6, "width": 10**6}, "application/octet-stream", 413, "40,000"),
        (png(np.zeros((300, 300), np.uint8)), {}, "image/png", 413, "limits.max_pixels"),
        (bytes(100), {"height": 10, "width": 10}, "image/png", 422, "Content-Type is application/octet-stream"),
        (b"no image", {"name": "too large"}, "image/png", 422, "image 'too large' is not an image"),
        (bytes(200_001), {}, "image/png", 413, "200,000"),
        (png(spots()), {"masks": "svg"}, "image/png", 422, "masks"),
        (png(spots()), {"nmae": "a"}, "image/png", 422, "nmae"),
        (png(spots()), {"deadline_ms": "-1"}, "image/png", 422, "deadline_ms"),
    ],
)
def test_what_cannot_be_inspected_is_refused_in_words(
    served: Running, content: bytes, query: dict, kind: str, status: int, words: str
) -> None:
    with served.client() as client:
        refused = client.post("/v1/inspect", content=content, params=query, headers={"content-type": kind})
    assert refused.status_code == status, refused.text
    assert words in refused.json()["error"]["message"]


def test_a_body_that_grows_without_saying_so_is_cut_off(served: Running) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(10_000)

    with served.client() as client:
        # The server may close the connection while we still send, which is as good.
        with contextlib.suppress(httpx.WriteError, httpx.ReadError):
            assert client.post("/v1/inspect", content=endless()).status_code == 413
        assert client.get("/health/ready").status_code == 200


def test_a_slow_client_is_cut_off_and_gives_its_place_back(served: Running) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        head = f"POST /v1/inspect HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {served.keys['reviewer']}\r\n"
        slow.sendall(f"{head}content-length: 1000\r\n\r\nabc".encode())
        wait_for(lambda: served.service.room.taken == 1)
        assert b"408" in slow.recv(1000).split(b"\r\n")[0]
    wait_for(lambda: served.service.room.taken == 0)


def test_above_its_places_it_refuses_with_retry_after_and_answers_the_rest(served: Running) -> None:
    served.model.hold.clear()
    with ThreadPoolExecutor(8) as pool, served.client() as client:
        jobs = [pool.submit(client.post, "/v1/inspect", content=png(spots(seed=n))) for n in range(4)]
        wait_for(lambda: served.service.room.taken == 4)
        refused = client.post("/v1/inspect", content=png(spots()))
        served.model.hold.set()
        answers = [job.result() for job in jobs]
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert [answer.status_code for answer in answers] == [200] * 4
    assert served.service.room.taken == 0


def test_images_that_wait_together_go_through_the_model_together(served: Running) -> None:
    served.model.hold.clear()
    before = len(served.model.batches)
    with ThreadPoolExecutor(8) as pool, served.client() as client:
        first = pool.submit(client.post, "/v1/inspect", content=png(spots()))
        wait_for(lambda: served.service.room.taken == 1 and served.service.batcher.depth == 0)
        rest = [pool.submit(client.post, "/v1/inspect", content=png(spots(seed=n))) for n in range(3)]
        wait_for(lambda: served.service.batcher.depth == 3)
        served.model.hold.set()
        for job in [first, *rest]:
            assert job.result().status_code == 200
    assert served.model.batches[before:] == [1, 3]


def test_a_deadline_is_kept_and_the_image_passed_over(served: Running) -> None:
    served.model.hold.clear()
    with ThreadPoolExecutor(2) as pool, served.client() as client:
        busy = pool.submit(client.post, "/v1/inspect", content=png(spots()))
        wait_for(lambda: served.service.room.taken == 1 and served.service.batcher.depth == 0)
        before = len(served.model.batches)
        late = client.post("/v1/inspect?deadline_ms=50", content=png(spots()))
        served.model.hold.set()
        assert busy.result().status_code == 200
    assert late.status_code == 503
    assert "0.05 s" in late.json()["error"]["message"]
    assert len(served.model.batches) == before + 1


def test_a_model_that_fails_fails_its_batch_alone(served: Running) -> None:
    with served.client() as client:
        served.model.fail = True
        failed = client.post("/v1/inspect", content=png(spots()))
        served.model.fail = False
        assert client.post("/v1/inspect", content=png(spots())).status_code == 200
    assert failed.status_code == 500
    assert "our fault" in failed.json()["error"]["message"]
    assert "content-security-policy" in failed.headers


def test_a_stop_answers_what_was_accepted(tmp_path: Path) -> None:
    with running(tmp_path) as served:
        served.model.hold.clear()
        with ThreadPoolExecutor(2) as pool, served.client() as client:
            job = pool.submit(client.post, "/v1/inspect", content=png(spots()))
            wait_for(lambda: served.service.room.taken == 1)
            served.server.should_exit = True
            threading.Timer(0.3, served.model.hold.set).start()
            answer = job.result()
    assert answer.status_code == 200
    check_spots(answer.json())


def turned_png() -> bytes:
    exif, stream = Image.Exif(), io.BytesIO()
    exif[274] = 6
    Image.fromarray(spots(seed=7)).save(stream, "PNG", exif=exif)
    return stream.getvalue()


def paged_tiff() -> bytes:
    stream = io.BytesIO()
    pages = [Image.fromarray(spots(seed=seed)) for seed in (8, 9)]
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    return stream.getvalue()


def test_doubtful_images_are_counted_and_logged_now_and_then(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same policy as in files: used as they are stored, with a warning that counts."""
    bright = np.full((20, 30), 60_000, np.uint16)
    with running(tmp_path, model=GreyModel(significant_bits=12)) as served, served.client() as client:
        for data in [turned_png(), paged_tiff(), png(bright), png(spots())]:
            assert client.post("/v1/inspect", content=data, params={"name": "s.png"}).status_code == 200
        tensor = {"name": "image", "datatype": "UINT16", "shape": [1, 2, 2, 1], "data": [60_000] * 4}
        for _ in range(9):
            sent = client.post("/v2/models/grey/infer", json={"inputs": [tensor]})
            assert sent.status_code == 200, sent.text
        registry = served.service.metrics.registry
        counts = {
            reason: registry.get_sample_value("sever_doubtful_images_total", {"reason": reason})
            for reason in ("turned", "pages", "clipped")
        }
    assert counts == {"turned": 1, "pages": 1, "clipped": 10}
    said = [each.getMessage() for each in caplog.records if "so far with" in each.getMessage()]
    assert len(said) == 4
    assert "orientation tag other than 1" in said[0]
    assert said[0].endswith("the latest is 's.png'")
    assert said[3].startswith("10 images so far with over 1% of the pixels clipped")


def test_metrics_count_images_and_requests(served: Running) -> None:
    with served.client("viewer") as client:
        lines = client.get("/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values['sever_images_total{source="http"}']) > 5
    assert float(values['sever_requests_total{route="/v1/inspect",status="429"}']) == 1
    assert float(values["sever_waiting_images"]) == 0
