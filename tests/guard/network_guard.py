"""Nothing reaches beyond this machine: what tries to is refused, and written down where the test looks at its end.

Refusing alone would not do, for code under test may catch the error, or raise it in a thread of its own.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The file with a line for each attempt; child processes find it in their environment.
REPORT = "SEVER_NETWORK_REPORT"


class BeyondThisMachine(OSError):
    """As a network that is down, so that code under test takes it for one."""


def is_here(host: object) -> bool:
    """Whether a host's name or address is of this machine."""
    name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    if name in ("localhost", "0.0.0.0", "::"):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def install(patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Guard this process; `patch` is how attributes are replaced (a test's monkeypatch, or for good)."""

    def guarded(name: str, address_at: int) -> None:
        original = getattr(socket.socket, name)

        def method(self: socket.socket, *arguments: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                _refuse_unless_here(arguments[address_at][0])
            return original(self, *arguments)

        patch(socket.socket, name, method)

    for name in ("connect", "connect_ex"):
        guarded(name, 0)
    guarded("sendto", -1)
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **settings: Any) -> Any:
        _refuse_unless_here(host)
        return look_up(host, *arguments, **settings)

    patch(socket, "getaddrinfo", getaddrinfo)


def _refuse_unless_here(host: object) -> None:
    if is_here(host):
        return
    if REPORT in os.environ:
        with Path(os.environ[REPORT]).open("a", encoding="utf-8") as file:
            file.write(f"{host}\n")
    raise BeyondThisMachine(f"a test tried to reach {host}")
