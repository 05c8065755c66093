"""Kaggle's own client, signed in and kept in hand: retries, and faults in words. Knows no data set and no model.

The client (`kaggle` 2.2) signs in as soon as it is imported, leaves the process when it can't, prints headers when the
environment says VERBOSE, and never times out; all of that is caught here. What is said or raised holds no credentials:
neither keys and tokens nor the signed part of a storage address.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from sever.deliver.kaggle.patience import TOO_MANY, TRANSIENT, Patience, asked_seconds
from sever.errors import InputError

T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS = 30.0, 300.0
NO_CLIENT = "the Kaggle client is not installed; install it with: pip install 'sever[kaggle]'"
NO_CREDENTIALS = (
    "no usable Kaggle credentials; make a token on the site (Settings, API), then set KAGGLE_API_TOKEN, or save it as "
    "~/.kaggle/access_token; KAGGLE_USERNAME with KAGGLE_KEY, or an older kaggle.json, will do too"
)
MEANINGS: dict[int, str] = {
    401: "Kaggle does not accept these credentials (401); make a new token on the site (Settings, API)",
    403: "this account may not do this (403)",
    404: "there is no such thing on Kaggle, or this account can't see it (404); look at the spelling",
    TOO_MANY: "too many requests (429); wait a while and run the same command again",
}
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+")


@dataclass(frozen=True)
class Fault:
    """What the server answered in place of a result; `message` is its own words, "" where it had none."""

    status: int
    message: str
    retry_after_seconds: float | None

    @staticmethod
    def of(response: Any) -> Fault:
        """The client also takes an answer with HTTP status 200 for an error, where its JSON holds an error's code."""
        status, message = int(response.status_code), ""
        if "application/json" in response.headers.get("Content-Type", ""):
            with contextlib.suppress(ValueError, AttributeError):
                values = response.json()
                message = str(values.get("message") or "")
                status = int(values.get("code") or status)
        return Fault(status, message, asked_seconds(response.headers))


@dataclass(frozen=True)
class Kaggle:
    """The client, signed in. `owner` is the account's name; `client` the low-level client, one session for all calls.

    To be used as a context manager, which closes the session.
    """

    api: Any
    client: Any
    owner: str
    secrets: tuple[str, ...] = field(repr=False)
    patience: Patience

    def __enter__(self) -> Kaggle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.client.__exit__(kind, error, at)

    def call(
        self, what: str, action: Callable[[], T], hints: Mapping[int, str] | None = None, repeatable: bool = True
    ) -> T:
        """Do `action`, again where that may help: after 429 when Retry-After says, after 5xx and cuts a few times.

        `what` is told when it fails ("cannot download x"), with `hints` by HTTP status in place of MEANINGS. What is
        not `repeatable` may have happened although its answer was lost, so only 429 has it tried again. Raises
        InputError.
        """
        requests = _requests()
        failures = 0
        while True:
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    return action()
            except requests.exceptions.HTTPError as error:
                failures += 1
                self._wait_or_raise(what, Fault.of(error.response), failures, hints or {}, repeatable)
            except cuts() as error:
                failures += 1
                if not repeatable:
                    raise InputError(f"{what}: {cut_words(error)}; {UNSURE}") from None
                if failures >= self.patience.attempts:
                    raise InputError(
                        f"{what}: {cut_words(error)}, {failures} times; run the same command again"
                    ) from None
                self.patience.sleep(self.patience.backoff_seconds(failures))
            except (requests.exceptions.RequestException, ValueError) as error:
                raise InputError(f"{what}: {self._odd_words(error)}") from None

    def check(self, what: str, response: Any, hints: Mapping[int, str] | None = None) -> None:
        """Raise InputError where a plain HTTP answer (of storage, not of the client) is an error."""
        if response.status_code >= 400:
            self._refuse(what, Fault.of(response), hints or {})

    def redact(self, text: str) -> str:
        """Text without our secrets, and without what follows the ? of an address, which may be a signature."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return _QUERY.sub(r"\1", text)

    def _odd_words(self, error: Exception) -> str:
        """The client's own checks raise ValueError; JSON that is none does, too, and says nothing useful."""
        if isinstance(error, _requests().exceptions.RequestException | json.JSONDecodeError):
            return f"what Kaggle answers can't be understood ({type(error).__name__}); run the same command again later"
        return self.redact(str(error))

    def _wait_or_raise(
        self, what: str, fault: Fault, failures: int, hints: Mapping[int, str], repeatable: bool
    ) -> None:
        asked = fault.retry_after_seconds
        if fault.status in TRANSIENT and not repeatable:
            self._refuse(what, fault, {fault.status: f"Kaggle has a fault of its own ({fault.status}); {UNSURE}"})
        if fault.status not in (TOO_MANY, *TRANSIENT) or failures >= self.patience.attempts:
            self._refuse(what, fault, hints)
        if asked is not None and asked > self.patience.longest_asked_seconds:
            raise InputError(f"{what}: Kaggle asks to wait {asked / 60:.0f} minutes; run the same command again then")
        self.patience.sleep(asked if asked is not None else self.patience.backoff_seconds(failures))

    def _refuse(self, what: str, fault: Fault, hints: Mapping[int, str]) -> NoReturn:
        own_fault = f"Kaggle has a fault of its own ({fault.status}); run the same command again later"
        fallback = own_fault if fault.status >= 500 else f"Kaggle refuses it ({fault.status})"
        meaning = hints.get(fault.status) or MEANINGS.get(fault.status, fallback)
        said = f"; Kaggle says: {self.redact(fault.message)}" if fault.message else ""
        raise InputError(f"{what}: {meaning}{said}")


UNSURE = "it may have arrived all the same, so look at the site before you send it again"


def sign_in(patience: Patience | None = None) -> Kaggle:
    """The client, signed in by whatever credentials it finds. Raises InputError: not installed, none, or refused."""
    patience = patience or Patience()
    api = _authenticated()
    values = api.config_values
    owner, key, token = (values.get(name) for name in ("username", "key", "token"))
    client = api.build_kaggle_client_with_params(args=api.args, username=owner, password=key, api_token=token)
    client.__enter__()
    _limit_waits(client.http_client())
    secrets = tuple(secret for secret in (key, token, os.environ.get("KAGGLE_API_TOKEN")) if secret)
    return Kaggle(api, client, str(owner), secrets, patience)


def cut_words(error: BaseException) -> str:
    """A connection's fault, without the address (which may be signed) that the library's own words hold."""
    timeout = "timed out" in str(error).lower()
    return "the connection to Kaggle timed out" if timeout else "the connection to Kaggle was cut or refused"


def _authenticated() -> Any:
    """A KaggleApi that has signed in; quiet, and without leaving the process."""
    with _quiet_environment(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            from kaggle.api.kaggle_api_extended import KaggleApi

            api = KaggleApi()
            api.args = [word for word in api.args if word not in ("--verbose", "-v")]
            api.authenticate()
        except ImportError as error:
            raise InputError(f"{NO_CLIENT} ({error.name or error} is missing)") from error
        except SystemExit:
            raise InputError(NO_CREDENTIALS) from None
        except Exception as error:
            raise InputError(f"cannot sign in to Kaggle: {_sign_in_words(error)}") from None
    return api


def _sign_in_words(error: Exception) -> str:
    requests = _requests()
    if isinstance(error, requests.exceptions.HTTPError):
        status = Fault.of(error.response).status
        return MEANINGS.get(status, f"Kaggle answers {status}; run the same command again later")
    if isinstance(error, cuts()):
        return cut_words(error)
    return f"{type(error).__name__} in its client; {NO_CREDENTIALS}"


@contextlib.contextmanager
def _quiet_environment() -> Iterator[None]:
    """Without the variables that have the client log every request with its credentials."""
    loud = {name: os.environ.pop(name) for name in ("VERBOSE", "VERBOSE_OUTPUT") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(loud)


def _limit_waits(http_client: Any) -> None:
    """A connection that falls silent is an error after a while; the client itself would wait for ever."""
    from requests.adapters import HTTPAdapter

    class Timed(HTTPAdapter):
        def send(self, request: Any, *args: Any, **settings: Any) -> Any:
            settings["timeout"] = settings.get("timeout") or (CONNECT_SECONDS, READ_SECONDS)
            return super().send(request, *args, **settings)

    for prefix in ("http://", "https://"):
        http_client._session.mount(prefix, Timed())


def _requests() -> Any:
    try:
        import requests
    except ImportError as error:
        raise InputError(NO_CLIENT) from error
    return requests


def cuts() -> tuple[type[Exception], ...]:
    """What is raised when a connection can't be made, is cut, or falls silent."""
    from urllib3.exceptions import HTTPError

    exceptions = _requests().exceptions
    return exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError, HTTPError
