"""The HTTP sessions of Kaggle's client, kept in hand: none waits for ever, and what is posted stays with one host.

The client opens sessions of its own inside (to ask whose a token is, to push a kernel), never times out, and follows
307 and 308 with all that it posts, a token among it. So it is the class that is tamed, and not one session.
"""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urlsplit

CONNECT_SECONDS, READ_SECONDS = 30.0, 300.0
_TAMED = "tamed_by_sever"


def tame_sessions() -> None:
    """From now on each session of the client has timeouts and posts to its own host only. Raises ImportError."""
    from kagglesdk.kaggle_http_client import KaggleHttpClient

    untamed = KaggleHttpClient._init_session
    if hasattr(untamed, _TAMED):
        return

    @functools.wraps(untamed)
    def open_session(client: Any) -> Any:
        was_open = client._session is not None
        made = untamed(client)
        if not was_open:
            _mount(client._session, urlsplit(client._get_request_url("", "")).netloc)
        return made

    setattr(open_session, _TAMED, True)
    KaggleHttpClient._init_session = open_session


def _mount(session: Any, home: str) -> None:
    from requests.adapters import HTTPAdapter
    from requests.exceptions import InvalidURL

    class Tamed(HTTPAdapter):
        def send(self, request: Any, *args: Any, **settings: Any) -> Any:
            if request.body and urlsplit(request.url).netloc != home:
                raise InvalidURL("an answer led to another host, and nothing was sent there")
            settings["timeout"] = settings.get("timeout") or (CONNECT_SECONDS, READ_SECONDS)
            return super().send(request, *args, **settings)

    for prefix in ("http://", "https://"):
        session.mount(prefix, Tamed())
