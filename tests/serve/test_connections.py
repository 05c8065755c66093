"""Whoever connects and sends no whole request gets no memory, no time and no more than his connections."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from serve_maker import Running, png, running, spots, wait_for

# Far above what the system's own buffers of a connection hold.
MOST = 64 << 20


def connect(served: Running) -> socket.socket:
    parts = urlsplit(served.url)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), 20)


def is_closed(client: socket.socket) -> bool:
    client.settimeout(20)
    try:
        return client.recv(4096) == b""
    except ConnectionError:
        return True


def flood(client: socket.socket, line: bytes) -> int:
    """Bytes that were taken before the connection broke, or MOST."""
    sent = 0
    while sent < MOST:
        try:
            client.sendall(line % sent)
        except OSError:
            break
        sent += len(line)
    return sent


@pytest.mark.parametrize("line", [b"x-%d: " + b"a" * 1000 + b"\r\n", b"%d" + b"a" * 1000])
def test_a_head_without_end_is_cut_off(line: bytes, tmp_path: Path) -> None:
    """Many headers, or one that goes on: megabytes are wanted, and no more than some tens of kilobytes are taken in."""
    with running(tmp_path) as served, connect(served) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nx-long: ")
        assert flood(client, line) < MOST
        with served.client(None) as other:
            assert other.get("/health/live").status_code == 200


def test_a_head_of_usual_size_and_a_large_body_go_through(tmp_path: Path) -> None:
    with running(tmp_path) as served, served.client() as client:
        large = b"\x80" * (1000 * 1000)
        shape = {"height": 1000, "width": 1000}
        for _ in range(2):  # on one connection
            answer = client.post(
                "/v1/inspect",
                content=large,
                params=shape,
                headers={"content-type": "application/octet-stream", "x-more": "b" * 30_000},
            )
            assert answer.status_code == 200, answer.text


def test_connections_that_say_nothing_are_closed(tmp_path: Path) -> None:
    """Silent from the first moment, and silent in the midst of a head; one that waits for its answer is not."""
    with running(tmp_path, {"limits": {"body_seconds": 0.5}}) as served:
        with connect(served) as silent, connect(served) as halfway:
            halfway.sendall(b"GET /health/live HTTP/1.1\r\nhost: local")
            assert is_closed(silent)
            assert is_closed(halfway)
        served.model.hold.clear()
        with connect(served) as waiting:
            body = png(spots())
            head = (
                f"POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {served.keys['reviewer']}\r\n"
            )
            waiting.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
            wait_for(lambda: served.service.room.taken == 1)
            waiting.settimeout(1.5)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            served.model.hold.set()
            waiting.settimeout(20)
            assert waiting.recv(15) == b"HTTP/1.1 200 OK"


def test_connections_are_counted(tmp_path: Path) -> None:
    with running(tmp_path, {"limits": {"max_connections": 3}}) as served:
        open_ones = [connect(served) for _ in range(3)]
        wait_for(lambda: len(served.server.server_state.connections) == 3)
        with connect(served) as above:
            assert is_closed(above)
        for each in open_ones:
            each.close()
        wait_for(lambda: not served.server.server_state.connections)
        with served.client(None) as client:
            assert client.get("/health/live").status_code == 200


def test_a_head_that_comes_at_once_has_the_same_bound(tmp_path: Path) -> None:
    with running(tmp_path) as served, connect(served) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * (80 << 10) + b"\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 431 ")
        assert is_closed(client)


def test_a_body_that_goes_on_after_its_answer_is_cut_off(tmp_path: Path) -> None:
    """A stranger is refused before his body is read; a byte now and then must not hold the connection for good."""
    with running(tmp_path, {"limits": {"body_seconds": 0.5}}) as served, connect(served) as client:
        client.sendall(b"POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 401 ")
        until = time.monotonic() + 10
        with contextlib.suppress(OSError):
            while time.monotonic() < until:
                client.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() < until


def test_a_client_that_goes_away_is_no_fault_of_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(tmp_path) as served:
        with connect(served) as client:
            key = served.keys["reviewer"].encode()
            head = b"POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " + key
            client.sendall(head + b"\r\ncontent-length: 100000\r\n\r\nhalf")
            wait_for(lambda: served.service.room.taken == 1)
        wait_for(lambda: served.service.room.taken == 0)
    assert "a request failed" not in caplog.text
