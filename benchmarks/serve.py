"""Claim: with 64 clients the service answers at least 90 % of the images/s of the model alone; also p50 and p99.

    python benchmarks/serve.py [--model model.sever] [--seconds 20]

The model alone decodes the same files and inspects them in batches, nothing else. The service is a process of its
own with SQLite and images on disk. Its clients are on the same machine, so their cost is counted against it. The two
are measured in turns, and the median of their ratios is told. The load is made by locust, which uv fetches; with
`--threads`, or where uv is not installed, by threads of this script.
"""

from __future__ import annotations

import csv
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from common import describe_machine, make_parser, parse, print_ratio, print_table

from sever.config import parse_config
from sever.data.images import decode_stored, to_model_pixels
from sever.data.synthetic import make_strip
from sever.deliver.serve.model import ServedModel
from sever.deliver.serve.security import people
from sever.deliver.serve.storage.store import Store
from sever.pipeline.serve import ModelInService, load_served

IMAGES, BATCH = 32, 8
HERE = str(Path(__file__).parent)
# In a home of its own: beside our libraries it would replace Python's sockets in every pytest.
LOCUST = (sys.executable, "-m", "uv", "tool", "run", "--quiet", "locust")
SERVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from serve import load_model
from sever.config.serve import ServeSettings
from sever.deliver.serve.server import serve
limits = {"max_waiting": 200, "deadline_seconds": 600}
security = {"requests_per_second": 1e6, "requests_at_once": 10**6}
settings = {"store": sys.argv[1], "port": 0, "limits": limits, "security": security, "batch": {"max_images": 8}}
model = load_model(sys.argv[2], sys.argv[3] == "quick")
serve(ServeSettings.model_validate(settings), model, {}, lambda text: print(text, flush=True))
"""


def load_model(path: str, quick: bool) -> ServedModel:
    """The model of a path, or without one a network with random weights: its answers are noise, its time is not."""
    if path:
        return load_served(Path(path))
    from sever.models.device import pick_device
    from sever.pipeline.inference.facts import DatasetFacts
    from sever.pipeline.inference.trained import model_in_training, new_network

    encoder = {"encoder": "mobilenet_v2", "decoder_channels": [8, 8, 8, 4, 4]} if quick else {"encoder": "resnet18"}
    values = {"name": "x", "data": {"root": "x"}, "model": encoder | {"weights": "none"}, "train": {"precision": "no"}}
    config, facts = parse_config(values, "the benchmark"), DatasetFacts(("1", "2", "3", "4"), (0.35,), (0.15,))
    network, device = new_network(config, facts, pretrained=False), pick_device("cpu", "no")
    rules = config.rules.model_copy(update={"min_pixels": 600, "pixel_threshold": 0.6})
    network.eval()
    return ModelInService("random", model_in_training(network, network.size_multiple, config, facts, rules, device))


def processor_seconds(pid: int) -> float:
    """Of a process and its threads since it began, which other work on the machine hardly moves."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def alone(model: ServedModel, files: list[bytes], seconds: float) -> tuple[float, float]:
    """Images/s of the model without a service, and processor milliseconds an image."""
    began, worked, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() < began + seconds:
        batch = [files[(count + at) % len(files)] for at in range(BATCH)]
        model.inspect([to_model_pixels(decode_stored(data, "x"), model.channels)[0] for data in batch])
        count += BATCH
    return count / (time.perf_counter() - began), 1000 * (time.process_time() - worked) / count


@dataclass(frozen=True)
class Load:
    """What a number of clients saw: images, images/s, and milliseconds of a request."""

    images: int
    images_per_second: float
    p50: float
    p99: float


def by_locust(url: str, key: str, images: Path, clients: int, seconds: float) -> Load:
    script, table = Path(HERE) / "serve_locust.py", images.parent / "locust"
    run = ["--headless", "-u", clients, "-r", clients, "-t", f"{max(1, round(seconds))}s", "--csv", table]
    command = [*LOCUST, "-f", script, "-H", url, *run, "--only-summary", "--stop-timeout", 600]
    environment = os.environ | {"SEVER_LOAD_KEY": key, "SEVER_LOAD_IMAGES": str(images)}
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with Path(f"{table}_stats.csv").open(encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["Name"] == "inspect")
    assert row["Failure Count"] == "0", row
    return Load(int(row["Request Count"]), float(row["Requests/s"]), float(row["50%"]), float(row["99%"]))


def by_threads(url: str, key: str, images: Path, clients: int, seconds: float) -> Load:
    files = [path.read_bytes() for path in sorted(images.iterdir())]
    began = time.perf_counter()
    taken = send_all(url, key, files, clients, seconds)
    p50, p99 = (1000 * value for value in np.quantile(taken, (0.5, 0.99)))
    return Load(len(taken), len(taken) / (time.perf_counter() - began), float(p50), float(p99))


def send_all(url: str, key: str, files: list[bytes], clients: int, seconds: float) -> list[float]:
    """Seconds of every answered request, clients sending one image after the other."""
    host, port = url.removeprefix("http://").split(":")
    taken: list[float] = []
    until = time.perf_counter() + seconds

    def send(number: int) -> None:
        connection = http.client.HTTPConnection(host, int(port), timeout=600)
        turn = number
        while time.perf_counter() < until:
            began = time.perf_counter()
            headers = {"authorization": f"Bearer {key}"}
            connection.request("POST", "/v1/inspect?masks=none", files[turn % len(files)], headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            taken.append(time.perf_counter() - began)
            turn += clients
        connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


class Service(NamedTuple):
    process: subprocess.Popen[str]
    url: str
    key: str


@contextmanager
def in_service(folder: Path, model: str, quick: bool) -> Iterator[Service]:
    """A service of its own process, with its store in the folder and a key to ask it by."""
    store = Store(folder / "store")
    key = store.write(lambda connection: people.add_key(connection, "load", "reviewer", "benchmark"))
    store.write(lambda connection: people.add_user(connection, "admin", "", "admin", "benchmark"))
    store.close()
    command = [sys.executable, "-c", SERVER, str(folder / "store"), model, "quick" if quick else "", HERE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, env=os.environ)
    assert process.stdout is not None
    try:
        yield Service(process, process.stdout.readline().strip(), key)
    finally:
        process.terminate()
        process.wait(60)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="", help="a bundle, or a trained model; by default one of random weights")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", action="store_true", help="make the load by threads, not by locust")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 1600), metavar=("HEIGHT", "WIDTH"))
    options = parse(parser, {"seconds": 1.0, "rounds": 1, "size": (64, 128), "threads": True})
    height, width = options.size
    strips = [make_strip(0, index, height, width)[0] for index in range(IMAGES)]
    files = [bytes(cv2.imencode(".jpg", strip)[1]) for strip in strips]
    model = load_model(options.model, options.quick)
    alone(model, files, min(2.0, options.seconds))  # warm
    with tempfile.TemporaryDirectory() as folder, in_service(Path(folder), options.model, options.quick) as service:
        server, url, key = service
        send_all(url, key, files, 1, 1.0)
        images = Path(folder) / "images"
        images.mkdir()
        for at, data in enumerate(files):
            (images / f"{at}.jpg").write_bytes(data)
        load = by_threads if options.threads or find_spec("uv") is None else by_locust
        ratios: list[float] = []
        own_ratios: list[float] = []
        rows: list[list[object]] = []
        for _ in range(options.rounds):
            bare, bare_ms = alone(model, files, options.seconds)
            rows.append(["model alone", "", f"{bare:.1f}", "", "", f"{bare_ms:.1f}"])
            for clients in (64, 8, 1):
                worked = processor_seconds(server.pid)
                served = load(url, key, images, clients, options.seconds)
                own_ms = 1000 * (processor_seconds(server.pid) - worked) / served.images
                rows.append(["service", clients, *told(served), f"{own_ms:.1f}"])
                if clients == 64:
                    ratios.append(served.images_per_second / bare)
                    own_ratios.append(bare_ms / own_ms)
    print(f"{describe_machine()}\nload by {load.__name__.removeprefix('by_')}")
    print_table(["", "clients", "images/s", "p50 ms", "p99 ms", "processor ms an image"], rows)
    print(f"by processor time, without the clients': {np.median(own_ratios):.2f}, which other work hardly moves")
    print_ratio(float(np.median(ratios)), "images/s of the service, 64 clients, over the model alone", 0.9)


def told(load: Load) -> list[str]:
    return [f"{load.images_per_second:.1f}", f"{load.p50:.0f}", f"{load.p99:.0f}"]


if __name__ == "__main__":
    main()
