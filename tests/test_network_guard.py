"""The guard of all tests against the network: nothing that a test does gets past it unseen."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import network_guard
import pytest

BEYOND = "192.0.2.1"  # of a range that is kept for documentation (RFC 5737)


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of the file that would fail this test."""
    monkeypatch.setenv(network_guard.REPORT, str(tmp_path / "report"))
    return tmp_path / "report"


def test_every_way_out_is_noted_though_the_error_is_caught(report: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket() as stream:
        for attempt in (
            lambda: stream.connect((BEYOND, 80)),
            lambda: stream.connect_ex((BEYOND, 80)),
            lambda: datagrams.sendto(b"", (BEYOND, 53)),
            lambda: datagrams.sendto(b"", 0, (BEYOND, 53)),
            lambda: socket.getaddrinfo("example.org", 80),
            lambda: socket.create_connection(("example.org", 80)),
        ):
            with pytest.raises(OSError, match="a test tried to reach"):
                attempt()
    assert report.read_text().split() == [BEYOND] * 4 + ["example.org"] * 2


def test_threads_and_child_processes_are_seen(report: Path) -> None:
    code = f"import socket\ntry: socket.create_connection(('{BEYOND}', 80), 1)\nexcept OSError: pass"
    thread = threading.Thread(target=lambda: exec(code))
    thread.start()
    thread.join()
    assert report.read_text().split() == [BEYOND]
    subprocess.run([sys.executable, "-c", code], check=True)
    assert report.read_text().split() == [BEYOND] * 2


def test_loopback_stays_open(report: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    assert all(map(network_guard.is_here, ("localhost", "127.0.0.1", "127.3.2.1", "::1", b"localhost", None, "")))
    assert not any(map(network_guard.is_here, (BEYOND, "example.org", "::ffff:192.0.2.1", "127.0.0.1.example.org")))
    assert not report.exists()
