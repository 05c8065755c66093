"""Kaggle's own client, signed in and kept in hand. Knows no data set and no model.

The client (`kaggle` 2.2) signs in as soon as it is imported, leaves the process when it can't, and prints headers when
the environment says VERBOSE; all of that is caught here.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from sever.deliver.kaggle.calls import NO_CLIENT, Call, CallFault, Redact
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.sessions import tame_sessions
from sever.errors import InputError

T = TypeVar("T")

NO_CREDENTIALS = (
    "no usable Kaggle credentials; make a token on the site (Settings, API), then set KAGGLE_API_TOKEN, or save it as "
    "~/.kaggle/access_token; KAGGLE_USERNAME with KAGGLE_KEY, or an older kaggle.json, will do too"
)


@dataclass(frozen=True)
class Kaggle:
    """The client, signed in. `owner` is the account's name; `client` the low-level client, one session for all calls.

    To be used as a context manager, which closes the session.
    """

    api: Any
    client: Any
    owner: str
    redact: Redact = field(repr=False)
    patience: Patience

    def __enter__(self) -> Kaggle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.client.__exit__(kind, error, at)

    def call(
        self, what: str, action: Callable[[], T], hints: Mapping[int, str] | None = None, repeatable: bool = True
    ) -> T:
        """Do `action` with patience; see `Call`. Raises InputError."""
        return Call(what, self.patience, self.redact, hints or {}, repeatable).do(action)

    def check(self, what: str, response: Any, hints: Mapping[int, str] | None = None) -> None:
        """Raise InputError where a plain HTTP answer (of storage, not of the client) is anything but a success."""
        if not 200 <= response.status_code < 300:
            Call(what, self.patience, self.redact, hints or {}).refuse(CallFault.of(response))


def sign_in(patience: Patience | None = None) -> Kaggle:
    """The client, signed in by whatever credentials it finds. Raises InputError: not installed, none, or refused."""
    patience = patience or Patience()
    api = _authenticated(patience)
    values = api.config_values
    owner, key, token = (values.get(name) for name in ("username", "key", "token"))
    client = api.build_kaggle_client_with_params(args=api.args, username=owner, password=key, api_token=token)
    client.__enter__()
    return Kaggle(api, client, str(owner), Redact(_secrets(owner, key, token)), patience)


def _secrets(owner: str | None, key: str | None, token: str | None) -> tuple[str, ...]:
    """What must not be told; a key also as it stands in a header, for some answers echo that."""
    in_header = base64.b64encode(f"{owner}:{key}".encode()).decode() if key else None
    return tuple(secret for secret in (key, in_header, token, os.environ.get("KAGGLE_API_TOKEN")) if secret)


def _authenticated(patience: Patience) -> Any:
    """A KaggleApi that has signed in; quiet, and without leaving the process."""
    sign_in_call = Call("cannot sign in to Kaggle", patience, Redact(_secrets(None, None, None)))
    with _quiet_environment(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            tame_sessions()
            from kaggle.api.kaggle_api_extended import KaggleApi

            api = KaggleApi()
            api.args = [word for word in api.args if word not in ("--verbose", "-v")]
            sign_in_call.do(api.authenticate)
        except ImportError as error:
            raise InputError(f"{NO_CLIENT} ({error.name or error} is missing)") from error
        except SystemExit:
            raise InputError(NO_CREDENTIALS) from None
        except (OSError, KeyError, AttributeError) as error:  # of credential files that it can't read or understand
            said = f"{type(error).__name__} in its client"
            raise InputError(f"cannot sign in to Kaggle: {said}; {NO_CREDENTIALS}") from None
    return api


@contextlib.contextmanager
def _quiet_environment() -> Iterator[None]:
    """Without the variables that have the client log every request with its credentials."""
    loud = {name: os.environ.pop(name) for name in ("VERBOSE", "VERBOSE_OUTPUT") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(loud)
