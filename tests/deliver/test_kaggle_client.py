"""The client in hand: credentials found or missed, faults in words, retries that wait as told, and no secrets told."""

from __future__ import annotations

import base64
import builtins
import io
import sys
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from kaggle_server import KEY, SECRETS, SIGNATURE, TOKEN, USER, Fault, Naps, World, kaggle_server

from sever.deliver.kaggle.calls import Redact
from sever.deliver.kaggle.client import sign_in
from sever.deliver.kaggle.kernel import Kernel, push, write_kernel
from sever.deliver.kaggle.patience import Patience, asked_seconds
from sever.deliver.kaggle.submit import ask_score
from sever.errors import InputError


def test_a_key_signs_in(world: World, patience: Patience) -> None:
    with sign_in(patience) as kaggle:
        assert kaggle.owner == USER
        assert ask_score(kaggle, 7).public == pytest.approx(0.91817)
        assert KEY not in repr(kaggle)


def test_a_token_signs_in_and_is_asked_for_its_owner(
    world: World, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    with sign_in(patience) as kaggle:
        assert kaggle.owner == USER
        assert ask_score(kaggle, 7).status == "complete"


def test_without_credentials_the_process_stays(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    with pytest.raises(InputError, match=r"no usable Kaggle credentials.*KAGGLE_API_TOKEN"):
        sign_in()
    assert capfd.readouterr() == ("", "")  # the client's own page of advice stays out of results
    assert world.log == []


def test_a_token_that_was_revoked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_old")
    with pytest.raises(InputError, match="no usable Kaggle credentials") as caught:
        sign_in()
    assert "KGAT_old" not in str(caught.value)


@pytest.fixture
def by_token(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    return world


@pytest.mark.parametrize(
    ("fault", "slept"),
    [
        (Fault("IntrospectToken", 429, headers={"Retry-After": "7"}), [7.0]),
        (Fault("IntrospectToken", 503, times=2), [1.0, 2.0]),
        (Fault("IntrospectToken", cut=0), [1.0]),
    ],
)
def test_signing_in_is_tried_again(
    fault: Fault, slept: list[float], by_token: World, patience: Patience, naps: Naps
) -> None:
    by_token.faults.append(fault)
    with sign_in(patience) as kaggle:
        assert kaggle.owner == USER
    assert naps.slept == slept


def test_a_web_page_in_place_of_an_answer_is_no_fault_of_the_credentials(by_token: World, patience: Patience) -> None:
    by_token.faults.append(Fault("IntrospectToken", garbage=True))
    with pytest.raises(InputError, match="cannot sign in to Kaggle: what Kaggle answers can't be understood"):
        sign_in(patience)


def test_what_is_posted_is_not_posted_to_another_host(by_token: World, patience: Patience) -> None:
    """307 and 308 ask for the same request elsewhere: the token would be in its body."""
    with kaggle_server() as elsewhere:
        where = {"Location": f"{elsewhere.url}/api/v1/security.OAuthService/IntrospectToken"}
        by_token.faults += [Fault("IntrospectToken", 307, headers=where), Fault("GetSubmission", 308, headers=where)]
        with pytest.raises(InputError, match="an answer led to another host, and nothing was sent there"):
            sign_in(patience)
        with sign_in(patience) as kaggle, pytest.raises(InputError, match="nothing was sent there"):
            ask_score(kaggle, 7)
        assert elsewhere.log == []


def test_no_call_waits_for_ever(
    by_token: World, patience: Patience, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those for which the client opens a session of its own."""
    from requests.adapters import HTTPAdapter

    seen: dict[str, Any] = {}
    send = HTTPAdapter.send

    def record(self: Any, request: Any, *arguments: Any, **settings: Any) -> Any:
        seen[request.url.rpartition("/")[2]] = settings["timeout"]
        return send(self, request, *arguments, **settings)

    monkeypatch.setattr(HTTPAdapter, "send", record)
    by_token.published = {"miller/sever-tiny": [], "miller/sever-wheels": []}
    folder = write_kernel(
        tmp_path / "kernel", Kernel(USER, "sever tiny", f"{USER}/sever-tiny", f"{USER}/sever-wheels", "steel", 5)
    )
    with sign_in(patience) as kaggle:
        push(kaggle, folder)
        ask_score(kaggle, 7)
    assert seen == dict.fromkeys(("IntrospectToken", "SaveKernel", "GetSubmission"), (30.0, 300.0))


def test_a_wrong_key_is_told_without_the_key(world: World, patience: Patience, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_KEY", "wr0ng-key-42")
    with (
        sign_in(patience) as kaggle,
        pytest.raises(InputError, match=r"does not accept these credentials \(401\)") as caught,
    ):
        ask_score(kaggle, 7)
    # The server's message is an echo of the header, which holds the key in another writing.
    shown = "".join(traceback.format_exception(caught.value))
    assert "Unauthenticated" in shown
    assert "wr0ng-key-42" not in shown
    assert base64.b64encode(f"{USER}:wr0ng-key-42".encode()).decode() not in shown


def test_without_the_extra_one_is_told_what_to_install(nowhere_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = builtins.__import__

    def lacking(name: str, *arguments: Any) -> Any:
        if name.partition(".")[0] == "kaggle":
            raise ModuleNotFoundError("No module named 'kaggle'", name="kaggle")
        return whole(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(InputError, match=r"pip install 'sever\[kaggle\]'"):
        sign_in()


def test_nothing_of_ours_imports_the_client_at_import() -> None:
    import subprocess

    names = ["calls", "client", "sessions", "download", "unpack", "upload", "kernel", "submit", "check", "wheels"]
    lines = [f"import sever.deliver.kaggle.{name}" for name in names]
    lines += ["import sever.cli", "import sys", "assert not {'kaggle', 'kagglesdk', 'requests'} & set(sys.modules)"]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


@pytest.mark.parametrize(
    ("fault", "slept"),
    [
        (Fault("GetSubmission", 429, times=2, headers={"Retry-After": "7"}), [7.0, 7.0]),
        (Fault("GetSubmission", 429, times=2), [1.0, 2.0]),  # without the header: our own waits
        (Fault("GetSubmission", 500, times=3), [1.0, 2.0, 4.0]),
        (Fault("GetSubmission", 503, headers={"Retry-After": "0"}), [0.0]),
        (Fault("GetSubmission", 503, code_in_200=True), [1.0]),  # the client's trap: an error within a good answer
        (Fault("GetSubmission", cut=0, times=2), [1.0, 2.0]),
    ],
)
def test_what_passes_is_tried_again(
    fault: Fault, slept: list[float], world: World, patience: Patience, naps: Naps
) -> None:
    world.faults.append(fault)
    with sign_in(patience) as kaggle:
        assert ask_score(kaggle, 7).status == "complete"
    assert naps.slept == slept


@pytest.mark.parametrize(
    ("fault", "said", "calls"),
    [
        (Fault("GetSubmission", 500, times=99), r"an internal fault \(500\)", 4),
        (Fault("GetSubmission", 429, times=99), r"too many requests \(429\)", 4),
        (Fault("GetSubmission", 429, times=99, headers={"Retry-After": "7200"}), "asks to wait 120 minutes", 1),
        (
            Fault("GetSubmission", 400, times=99, message="Odd number"),
            r"refuses it \(400\); Kaggle says: Odd number",
            1,
        ),
        (Fault("GetSubmission", 404, times=99), r"\(404\)", 1),
        (Fault("GetSubmission", garbage=True), "can't be understood", 1),
        (Fault("GetSubmission", cut=0, times=99), "cut or refused, 4 times", 4),
    ],
)
def test_what_does_not_pass_is_told(fault: Fault, said: str, calls: int, world: World, patience: Patience) -> None:
    world.faults.append(fault)
    with sign_in(patience) as kaggle, pytest.raises(InputError, match=said):
        ask_score(kaggle, 7)
    assert world.count("GetSubmission") == calls


@pytest.mark.parametrize("fault", [Fault("GetSubmission", 500), Fault("GetSubmission", cut=0)])
def test_what_may_have_happened_is_not_done_twice(fault: Fault, world: World, patience: Patience) -> None:
    from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest

    world.faults.append(fault)
    with sign_in(patience) as kaggle:
        ask = kaggle.client.competitions.competition_api_client.get_submission
        with pytest.raises(InputError, match="may have arrived all the same"):
            kaggle.call("cannot ask", lambda: ask(ApiGetSubmissionRequest()), repeatable=False)
    assert world.count("GetSubmission") == 1


def test_a_server_that_is_not_there(world: World, patience: Patience, monkeypatch: pytest.MonkeyPatch) -> None:
    from kagglesdk import kaggle_env

    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, "http://127.0.0.1:9")
    with sign_in(patience) as kaggle, pytest.raises(InputError, match="cut or refused"):
        ask_score(kaggle, 7)


def test_a_verbose_environment_shows_no_headers(
    world: World, patience: Patience, monkeypatch: pytest.MonkeyPatch, silent: io.StringIO
) -> None:
    from kaggle.api.kaggle_api_extended import KaggleApi

    monkeypatch.setattr(KaggleApi, "args", ["--local", "--verbose"])  # what VERBOSE=1 makes of it at import
    monkeypatch.setenv("VERBOSE", "1")
    with sign_in(patience) as kaggle:
        ask_score(kaggle, 7)
    assert not any(secret in silent.getvalue() for secret in SECRETS)


def test_signed_addresses_lose_their_signature() -> None:
    said = Redact((KEY,))(f"no https://storage.example/a.zip?X-Signature={SIGNATURE}&b=1 for {KEY}")
    assert said == "no https://storage.example/a.zip for ***"
    assert (
        Redact()("sent 'Authorization: Bearer abc.def-9', basic YTpi; no")
        == "sent 'Authorization: Bearer ***', basic ***; no"
    )


def test_retry_after_in_both_its_forms() -> None:
    assert asked_seconds({"Retry-After": "3.5"}) == 3.5
    assert asked_seconds({"Retry-After": "-1"}) == 0
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 < asked_seconds({"Retry-After": soon}) <= 100
    assert asked_seconds({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert asked_seconds({"Retry-After": "Wed, 21 Oct 2015 07:28:00 -0000"}) == 0
    assert asked_seconds({"Retry-After": "soon"}) is None
    assert asked_seconds({}) is None
