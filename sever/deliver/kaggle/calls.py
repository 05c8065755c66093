"""A call to Kaggle: tried again where that may help, and told in words where not. Knows no account and no service.

What is said or raised holds no credentials: neither the secrets that a `Redact` knows, nor an Authorization header
that an answer echoes, nor the signed part of a storage address.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from sever.deliver.kaggle.patience import TOO_MANY, TRANSIENT, Patience, asked_seconds
from sever.errors import InputError

T = TypeVar("T")

NO_CLIENT = "the Kaggle client is not installed; install it with: pip install 'sever[kaggle]'"
UNSURE = "it may have arrived all the same, so look at the site before you send it again"
MEANINGS: dict[int, str] = {
    401: "Kaggle does not accept these credentials (401); make a new token on the site (Settings, API)",
    403: "this account may not do this (403)",
    404: "there is no such thing on Kaggle, or this account can't see it (404); look at the spelling",
    TOO_MANY: "too many requests (429); wait a while and run the same command again",
}
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+")
_AUTHORIZATION = re.compile(r"\b(Basic|Bearer)\s+[^\s'\",;]+", re.IGNORECASE)


@dataclass(frozen=True)
class CallFault:
    """What the server answered in place of a result; `message` is its own words, "" where it had none."""

    status: int
    message: str
    retry_after_seconds: float | None

    @staticmethod
    def of(response: Any) -> CallFault:
        """The client also takes an answer with HTTP status 200 for an error, where its JSON holds an error's code."""
        status, message = int(response.status_code), ""
        if "application/json" in response.headers.get("Content-Type", ""):
            with contextlib.suppress(ValueError, AttributeError):
                values = response.json()
                message = str(values.get("message") or "")
                status = int(values.get("code") or status)
        return CallFault(status, message, asked_seconds(response.headers))


@dataclass(frozen=True)
class Redact:
    """Text without our secrets."""

    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __call__(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return _QUERY.sub(r"\1", _AUTHORIZATION.sub(r"\1 ***", text))


@dataclass(frozen=True)
class Call:
    """One thing to be done. `what` is told when it fails ("cannot download x"), with `hints` by HTTP status in place of
    MEANINGS. What is not `repeatable` may have happened although its answer was lost: only 429 has it tried again."""

    what: str
    patience: Patience
    redact: Redact = Redact()
    hints: Mapping[int, str] = field(default_factory=dict)
    repeatable: bool = True

    def do(self, action: Callable[[], T]) -> T:
        """Do `action`, again where that may help: after 429 when Retry-After says, after 5xx and cuts a few times.

        Raises InputError; what `action` raises for other reasons than an answer or a connection goes through.
        """
        exceptions = requests_library().exceptions
        failures = 0
        while True:
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    return action()
            except exceptions.HTTPError as error:
                failures += 1
                self._wait_or_raise(CallFault.of(error.response), failures)
            except cuts() as error:
                failures += 1
                if not self.repeatable:
                    raise InputError(f"{self.what}: {cut_words(error)}; {UNSURE}") from None
                if failures >= self.patience.attempts:
                    raise InputError(
                        f"{self.what}: {cut_words(error)}, {failures} times; run the same command again"
                    ) from None
                self.patience.sleep(self.patience.backoff_seconds(failures))
            except (exceptions.RequestException, ValueError) as error:
                raise InputError(f"{self.what}: {self._odd_words(error)}") from None

    def refuse(self, fault: CallFault) -> NoReturn:
        """Raise what the fault means."""
        own_fault = f"Kaggle has an internal fault ({fault.status}); run the same command again later"
        fallback = own_fault if fault.status >= 500 else f"Kaggle refuses it ({fault.status})"
        meaning = self.hints.get(fault.status) or MEANINGS.get(fault.status, fallback)
        said = f"; Kaggle says: {self.redact(fault.message)}" if fault.message else ""
        raise InputError(f"{self.what}: {meaning}{said}") from None  # the client's own error holds what is left out

    def _odd_words(self, error: Exception) -> str:
        """The client's own checks raise ValueError; JSON that is none does, too, and says nothing useful."""
        if isinstance(error, requests_library().exceptions.InvalidURL):
            return f"{self.redact(str(error))}; run the same command again later"
        if isinstance(error, requests_library().exceptions.RequestException | json.JSONDecodeError):
            return f"what Kaggle answers can't be understood ({type(error).__name__}); run the same command again later"
        return self.redact(str(error))

    def _wait_or_raise(self, fault: CallFault, failures: int) -> None:
        asked = fault.retry_after_seconds
        if fault.status in TRANSIENT and not self.repeatable:
            raise InputError(f"{self.what}: Kaggle has an internal fault ({fault.status}); {UNSURE}") from None
        if fault.status not in (TOO_MANY, *TRANSIENT) or failures >= self.patience.attempts:
            self.refuse(fault)
        if asked is not None and asked > self.patience.longest_asked_seconds:
            raise InputError(
                f"{self.what}: Kaggle asks to wait {asked / 60:.0f} minutes; run the same command again then"
            ) from None
        self.patience.sleep(asked if asked is not None else self.patience.backoff_seconds(failures))


def cut_words(error: BaseException) -> str:
    """A connection's fault, without the address (which may be signed) that the library's own words hold."""
    timeout = "timed out" in str(error).lower()
    return "the connection to Kaggle timed out" if timeout else "the connection to Kaggle was cut or refused"


def cuts() -> tuple[type[Exception], ...]:
    """What is raised when a connection can't be made, is cut, or falls silent."""
    from urllib3.exceptions import HTTPError

    exceptions = requests_library().exceptions
    return exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError, HTTPError


def requests_library() -> Any:
    """`requests`, which comes with the client. Raises InputError where it is missing."""
    try:
        import requests
    except ImportError as error:
        raise InputError(NO_CLIENT) from error
    return requests
