"""A service that is killed (SIGKILL) under load again and again, and clients that send on until they are answered.

`python tests/serve/serve_kills.py 100` kills a hundred times and tells what became of the answers.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
SERVER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from serve_maker import GreyModel
from sever.config.serve import ServeSettings
from sever.deliver.serve.server import serve
settings = {"store": sys.argv[1], "port": 0}
if len(sys.argv) > 3:
    quick = {"poll_seconds": 0.02, "settle_seconds": 0.05, "after": "delete"}
    settings["watch"] = [{"path": sys.argv[3], **quick}]
serve(ServeSettings.model_validate(settings), GreyModel(), {}, lambda text: print(text, flush=True))
"""


def start(store: Path, watched: Path | None = None) -> tuple[subprocess.Popen[str], str]:
    """A service in a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(store), str(HERE), *([str(watched)] if watched else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    url = next((line.strip() for line in lines if line.startswith("http")), "")
    assert url, "the service did not start"
    process.stdout.close()
    return process, url


def kill_while_watching(store: Path, folder: Path, kills: int, wanted: int) -> None:
    """Kill a service in the midst of a folder, so many times; then let it come to the end."""
    for turn in range(kills + 1):
        process, _ = start(store, folder)
        share = wanted * (turn + 1) // (kills + 1)
        until = time.monotonic() + 60
        while len(list(folder.iterdir())) > wanted - share:
            assert time.monotonic() < until, "the folder is not worked off"
            time.sleep(0.005)
        process.kill() if turn < kills else process.send_signal(signal.SIGTERM)
        process.wait(30)


class Sender:
    """`acknowledged`: keys of requests that were answered with 200."""

    def __init__(self, store: Path, kills: int, seconds: float, clients: int = 4) -> None:
        self.store, self.kills, self.seconds, self.clients = store, kills, seconds, clients
        self.acknowledged: list[str] = []
        self._url, self._key = "", ""
        self._is_over = threading.Event()

    def run(self) -> None:
        self._make_key()
        threads = [threading.Thread(target=self._send, args=(number,)) for number in range(self.clients)]
        process = self._start()
        for thread in threads:
            thread.start()
        for _ in range(self.kills):
            time.sleep(self.seconds)
            process.kill()
            process.wait()
            process = self._start()
        time.sleep(self.seconds)
        self._is_over.set()
        for thread in threads:
            thread.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0

    def _make_key(self) -> None:
        from sever.deliver.serve.security import people
        from sever.deliver.serve.storage.store import Store

        store = Store(self.store)
        self._key = store.write(lambda connection: people.add_key(connection, "load", "reviewer", "test"))
        store.write(lambda connection: people.add_user(connection, "admin", "", "admin", "test"))
        store.close()

    def _start(self) -> subprocess.Popen[str]:
        process, self._url = start(self.store)
        return process

    def _send(self, client: int) -> None:
        """Each request under its own key, again and again until it is answered."""
        import httpx
        from serve_maker import png, spots

        number = 0
        headers = {"authorization": f"Bearer {self._key}"}
        while not self._is_over.is_set():
            key, body = f"{client}-{number}", png(spots(seed=100 * client + number))
            while not self._is_over.is_set():
                try:
                    mine = headers | {"idempotency-key": key}
                    answer = httpx.post(
                        f"{self._url}/v1/inspect", content=body, headers=mine, timeout=5, trust_env=False
                    )
                except httpx.HTTPError:
                    time.sleep(0.02)
                    continue
                if answer.status_code == 200:
                    self.acknowledged.append(key)
                    number += 1
                    break
                time.sleep(0.02)


def count_answers(store: Path) -> dict[str, int]:
    """How often each request key is in the store, read by sqlite3 alone."""
    with sqlite3.connect(store / "sever.db") as connection:
        keys = [row[0].removeprefix("http:") for row in connection.execute("SELECT request_key FROM answers")]
    connection.close()
    return dict(Counter(keys))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sender = Sender(Path(folder) / "store", kills=int(sys.argv[1]), seconds=1.0)
        sender.run()
        kept = count_answers(Path(folder) / "store")
    lost = [key for key in sender.acknowledged if kept.get(key) != 1]
    print(f"{sender.kills} kills, {len(sender.acknowledged)} answers acknowledged, {len(lost)} lost or kept twice")
    print(f"{sum(kept.values())} in the store, {max(kept.values())} at most under one key")
