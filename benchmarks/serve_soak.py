"""Claim: the service's memory is flat: after half an hour of steady load it is at most a tenth above the first minutes.

    python benchmarks/serve_soak.py [--model model.sever] [--seconds 1800] [--pace 4]

One client sends images at a pace, reads lists, statistics and maps between them, as the page does; the resident memory
of the service is read from the system all the while. The ratio is the median of the last quarter over that of the
second one (the first is warming up).
"""

from __future__ import annotations

import http.client
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from common import describe_machine, make_parser, parse, print_table
from serve import in_service

from sever.data.synthetic import make_strip

MIB = 1 << 20
READS = ("/v1/answers?order=uncertainty&limit=50", "/v1/statistics?since=0&until=4e9", "/v1/coils", "/metrics")
AT_MOST = 1.1


def resident(pid: int) -> float:
    """MiB of a process that are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def soak(url: str, key: str, pid: int, seconds: float, pace: float, size: tuple[int, int]) -> list[tuple[float, float]]:
    """(seconds since the start, MiB) after every image; every image is another one."""
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=600)
    began, seen = time.perf_counter(), list[tuple[float, float]]()
    while (now := time.perf_counter() - began) < seconds:
        number = len(seen)
        data = bytes(cv2.imencode(".jpg", make_strip(0, number, *size)[0])[1])
        place = f"coil=C{number // 60}&position_m={number % 60}"
        ask(connection, "POST", f"/v1/inspect?masks=none&{place}", key, data)
        if number % 10 == 0:
            ask(connection, "GET", READS[number // 10 % len(READS)], key)
        seen.append((now, resident(pid)))
        time.sleep(max(0.0, (number + 1) / pace - (time.perf_counter() - began)))
    connection.close()
    return seen


def ask(connection: http.client.HTTPConnection, method: str, path: str, key: str, data: bytes | None = None) -> None:
    connection.request(method, path, data, {"authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, (path, answer.status)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="", help="a bundle, or a trained model; by default one of random weights")
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--pace", type=float, default=4.0, help="images a second")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 800), metavar=("HEIGHT", "WIDTH"))
    options = parse(parser, {"seconds": 4.0, "pace": 10.0, "size": (64, 128)})
    with tempfile.TemporaryDirectory() as folder, in_service(Path(folder), options.model, options.quick) as service:
        server, url, key = service
        seen = soak(url, key, server.pid, options.seconds, options.pace, tuple(options.size))
    info(seen, options.seconds)


def info(seen: list[tuple[float, float]], seconds: float) -> None:
    times, sizes = np.array(seen).T
    parts = np.minimum((8 * times / seconds).astype(int), 7)
    print(describe_machine())
    rows = [
        [f"{part * seconds / 480:.1f}", int((parts == part).sum()), *_mib(sizes[parts == part])]
        for part in sorted(set(parts.tolist()))
    ]
    print_table(["from minute", "images", "MiB median", "MiB most"], rows)
    ratio = float(np.median(sizes[parts >= 6]) / np.median(sizes[(parts == 2) | (parts == 3)]))
    held = "holds" if ratio <= AT_MOST else "MISSED"
    print(f"ratio {ratio:.2f}  (memory at the end over that of the second quarter; claim: at most {AT_MOST}, {held})")


def _mib(sizes: np.ndarray) -> tuple[str, str]:
    return f"{np.median(sizes):.0f}", f"{sizes.max():.0f}"


if __name__ == "__main__":
    main()
