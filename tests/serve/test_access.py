"""Who may do what, tried by strangers: no key, the wrong role, another site, too often, strange words.

docs/security.md has a row for each of these.
"""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from command_line import sever
from fastapi.routing import APIRoute
from serve_maker import PASSWORD, Running, png, running, spots
from sqlalchemy import select

from sever.config.serve import ServeSettings
from sever.deliver.serve.access import COOKIE
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.routes import ROUTERS, page
from sever.deliver.serve.security import people
from sever.deliver.serve.security.audit import first_broken
from sever.deliver.serve.security.rates import Rate
from sever.deliver.serve.server import first_admin, raise_unless_guarded
from sever.deliver.serve.storage import tables
from sever.deliver.serve.storage.store import Store
from sever.errors import InputError

OPEN = {"/health/live", "/health/ready", "/v1/session", "/openapi.json", "/v2", "/v2/health/live", "/v2/health/ready"}
# The least role for every route of the OpenAPI; a new route has to be given its own.
VIEWER = """
GET /metrics
GET /v1/answers
GET /v1/answers/{uid}
GET /v1/answers/{uid}/image
GET /v1/answers/{uid}/image.png
GET /v1/answers/{uid}/overlay.png
GET /v1/answers/{uid}/corrections
GET /v1/coils
GET /v1/coils/map
GET /v1/coils/map.csv
GET /v1/coils/map.png
GET /v1/coils/map.html
GET /v1/alarms
GET /v1/statistics
GET /v1/models
GET /v1/models/comparison
GET /v1/models/comparison/{uid}/{side}.png
GET /v1/models/shadow
GET /v1/rules
GET /v1/session
DELETE /v1/session
PUT /v1/session/password
GET /v2/models/{name}
GET /v2/models/{name}/ready
GET /v2/models/{name}/versions/{version}
GET /v2/models/{name}/versions/{version}/ready
"""
REVIEWER = """
POST /v1/inspect
POST /v1/inspect/batch
POST /v1/overlay
POST /v1/answers/{uid}/corrections
GET /v1/answers/{uid}/probabilities.png
POST /v1/alarms/{number}/seen
GET /v1/export.zip
POST /v1/rules/draw
POST /v1/rules/trial
POST /v2/models/{name}/infer
POST /v2/models/{name}/versions/{version}/infer
"""
ADMIN = """
POST /v1/models/comparison
POST /v1/models/current
POST /v1/models/rollback
POST /v1/models/shadow
POST /v1/rules
POST /v1/rules/current
GET /v1/users
POST /v1/users
PUT /v1/users/{name}/password
PUT /v1/users/{name}/role
DELETE /v1/users/{name}
GET /v1/keys
POST /v1/keys
DELETE /v1/keys/{name}
GET /v1/audit
"""
ROLE_OF = {
    tuple(line.split()): role
    for role, lines in (("viewer", VIEWER), ("reviewer", REVIEWER), ("admin", ADMIN))
    for line in lines.strip().splitlines()
}
SIGN_IN = ("POST", "/v1/session")
# What makes a path of a route; nothing that is there, so that no call changes anything.
SAMPLES = {"uid": "0" * 32, "name": "nobody", "number": "1", "side": "now", "version": "1"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    quick = {"security": {"logins_per_minute": 600}}
    with running(tmp_path_factory.mktemp("store"), quick) as found:
        yield found


def routes(served: Running) -> list[tuple[str, str]]:
    """Every method and path of the OpenAPI, so that a new route is put to these tests by itself."""
    paths = httpx.get(f"{served.url}/openapi.json", trust_env=False).json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_a_stranger_gets_nothing_from_any_route(served: Running) -> None:
    found = routes(served)
    assert len(found) > 20
    with served.client(None) as client:
        for headers in ({}, {"authorization": "Bearer sever_guess"}, {"cookie": f"{COOKIE}=guess"}, {"x-api-key": ""}):
            for method, path in found:
                if path in OPEN and not (path == "/v1/session" and method != "POST"):
                    continue
                answer = client.request(method, path, headers=headers, json={})
                assert answer.status_code in (401, 422), f"{method} {path}: {answer.status_code}"
                if answer.status_code == 422:  # a query that is no form of ours is refused before who sent it matters
                    assert "query." in answer.text


def test_a_strangers_body_is_not_read(served: Running) -> None:
    """Nested a million deep, or of a size that many connections would fill the memory with."""
    with served.client(None) as client:
        for method, path in routes(served):
            if method not in ("GET", "HEAD") and (method, path) != ("POST", "/v1/session"):
                headers = {"content-type": "application/json"}
                answer = client.request(method, path, content=b"[" * 100_000, headers=headers)
                assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
        assert client.post("/v1/session", content=bytes(2 << 20)).status_code == 413
    with served.client("viewer") as client:
        assert client.post("/v1/users", content=bytes(2 << 20)).status_code == 413


def test_every_route_has_its_role() -> None:
    """Of the application as it is declared, so that no route is forgotten because it is left out of the OpenAPI."""
    declared = {
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and router is not page.router
        for method in route.methods
    }
    free = {("GET", path) for path in OPEN if path not in ("/openapi.json", "/v1/session")}
    assert declared - free - {SIGN_IN} == ROLE_OF.keys()


@pytest.mark.parametrize("role", people.ROLES)
def test_roles_are_kept_apart(served: Running, role: people.Role) -> None:
    """Every route and role: below its role 403, from it on anything else."""
    with served.client(role) as client:
        for (method, path), needed in ROLE_OF.items():
            answer = call(client, method, path)
            is_enough = people.ROLES.index(role) >= people.ROLES.index(needed)
            about = f"{role}: {method} {path}: {answer.status_code} {answer.text[:200]}"
            assert (answer.status_code not in (401, 403)) if is_enough else answer.status_code == 403, about
            assert answer.status_code < 500, about


def test_every_change_by_a_session_needs_its_token(served: Running) -> None:
    client = served.sign_in()
    del client.headers["x-csrf-token"]
    for method, path in ROLE_OF:
        if method != "GET":
            answer = call(client, method, path)
            assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"
            assert "X-CSRF-Token" in answer.text
    assert client.get("/v1/session").status_code == 200
    client.close()


def call(client: httpx.Client, method: str, path: str) -> httpx.Response:
    return client.request(method, path.format(**SAMPLES), json=None if method in ("GET", "DELETE") else {})


def test_a_session_works_until_it_is_ended(served: Running) -> None:
    client = served.sign_in()
    token = client.cookies[COOKIE]
    assert client.get("/v1/session").json()["role"] == "admin"
    assert client.delete("/v1/session").status_code == 204
    again = httpx.get(f"{served.url}/v1/session", headers={"cookie": f"{COOKIE}={token}"}, trust_env=False)
    assert again.status_code == 401, "the token itself is worth nothing any more"
    client.close()


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(served: Running) -> None:
    answer = httpx.post(f"{served.url}/v1/session", json={"name": "admin", "password": PASSWORD}, trust_env=False)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_a_change_from_another_site_is_refused(served: Running) -> None:
    """The browser would send the cookie along, but the other site can't read the token."""
    client = served.sign_in()
    for token in (None, "", "guess", "ü"):
        headers = {} if token is None else {"x-csrf-token": token.encode()}
        del client.headers["x-csrf-token"]
        answer = client.post("/v1/keys", json={"name": "forged", "role": "admin"}, headers=headers)
        assert answer.status_code == 403
        assert "X-CSRF-Token" in answer.text
        client.headers["x-csrf-token"] = "x"
    assert client.get("/v1/keys").status_code == 200, "reading changes nothing"
    assert "forged" not in client.get("/v1/keys").text
    client.close()


def test_a_page_that_resolves_its_name_to_this_machine_is_refused(served: Running) -> None:
    answer = httpx.get(f"{served.url}/health/live", headers={"host": "evil.example"}, trust_env=False)
    assert answer.status_code == 400
    assert "security.hosts" in answer.json()["error"]["message"]


def test_only_own_names_are_answered(tmp_path: Path) -> None:
    names = {"host": "::1", "security": {"hosts": ["mill.local", "*.line.local"]}}
    with running(tmp_path, names) as served:
        at = served.url.replace("127.0.0.1", "[::1]")
        good = ["localhost", "LOCALHOST:8350", "127.0.0.1:1", "[::1]", "[::1]:8350", "mill.local", "a.line.local:80"]
        for host in (*good, "evil", "mill.local.evil", "evil.mill.local", "[::2]", "line.local", "[::1].evil"):
            answer = httpx.get(f"{at}/health/live", headers={"host": host}, trust_env=False)
            assert answer.status_code == (200 if host in good else 400), host
        with socket.create_connection(("::1", int(at.rpartition(":")[2])), timeout=10) as raw:
            raw.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nhost: evil\r\n\r\n")
            assert b" 400 " in raw.recv(1000), "a proxy may believe the other one"


def test_passwords_are_guessed_slowly(tmp_path: Path) -> None:
    with running(tmp_path, {"security": {"logins_per_minute": 3}}) as served, served.client(None) as client:
        tries = [client.post("/v1/session", json={"name": "admin", "password": f"guess {n}"}) for n in range(4)]
        assert [each.status_code for each in tries] == [401, 401, 401, 429]
        assert int(tries[-1].headers["retry-after"]) >= 1
        right = client.post("/v1/session", json={"name": "admin", "password": PASSWORD})
        assert right.status_code == 429, "the right one has to wait, too"
        with served.client("admin") as admin:
            refused = [each for each in admin.get("/v1/audit").json() if each["action"] == "sign-in refused"]
        assert len(refused) == 3


def test_requests_of_one_key_come_at_a_pace(tmp_path: Path) -> None:
    rates = {"security": {"requests_per_second": 0.01, "requests_at_once": 5}}
    with running(tmp_path, rates) as served, served.client("viewer") as client:
        assert [client.get("/v1/models").status_code for _ in range(6)] == [200] * 5 + [429]
        with served.client("admin") as other:
            assert other.get("/v1/models").status_code == 200, "another key has a pace of its own"


def test_a_bucket_fills_again_and_forgets_the_oldest() -> None:
    clock = [0.0]
    rate = Rate(0.5, 2, lambda: clock[0])
    rate.take("a")
    rate.take("a")
    with pytest.raises(Refusal) as refused:
        rate.take("a")
    assert refused.value.retry_after == 2
    clock[0] = 2.0
    rate.take("a")
    for number in range(20_000):
        rate.take(f"stranger {number}")
    assert len(rate._buckets) == 10_000


def test_every_threat_names_a_test_that_exists() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line for line in page.split("## Threats")[1].splitlines() if line.startswith("| ")][1:]
    code = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert [name for name in named if f"def {name}(" not in code] == []


def test_users_and_keys_come_and_go_and_the_trail_tells_it(served: Running) -> None:
    client = served.sign_in()
    assert client.post("/v1/users", json={"name": "eva", "password": PASSWORD, "role": "viewer"}).status_code == 204
    assert client.post("/v1/users", json={"name": "eva", "password": PASSWORD, "role": "admin"}).status_code == 409
    assert client.post("/v1/users", json={"name": "tom", "password": "short", "role": "admin"}).status_code == 422
    eva = served.sign_in("eva")
    assert client.delete("/v1/users/eva").status_code == 204
    assert eva.get("/v1/session").status_code == 401, "her sessions end with her"
    key = client.post("/v1/keys", json={"name": "gate 1", "role": "viewer"}).json()["key"]
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.get(f"{served.url}/v1/models", headers=headers, trust_env=False).status_code == 200
    assert client.delete("/v1/keys/gate 1").status_code == 204
    assert httpx.get(f"{served.url}/v1/models", headers=headers, trust_env=False).status_code == 401
    told = [(each["actor"], each["action"], each["subject"]) for each in client.get("/v1/audit").json()]
    assert ("admin", "user ended", "eva") in told
    assert ("admin", "key ended", "gate 1") in told
    assert served.service.store.read(first_broken) is None
    client.close()
    eva.close()


def test_a_role_changes_at_once_and_the_trail_tells_it(served: Running) -> None:
    client = served.sign_in()
    client.post("/v1/users", json={"name": "uwe", "password": PASSWORD, "role": "viewer"})
    uwe = served.sign_in("uwe")
    assert uwe.post("/v1/inspect", content=png(spots())).status_code == 403
    assert client.put("/v1/users/uwe/role", json={"role": "reviewer"}).status_code == 204
    assert uwe.post("/v1/inspect", content=png(spots())).status_code == 200
    assert client.put("/v1/users/uwe/role", json={"role": "viewer"}).status_code == 204
    assert uwe.post("/v1/inspect", content=png(spots())).status_code == 403
    assert client.put("/v1/users/uwe/role", json={"role": "boss"}).status_code == 422
    assert client.put("/v1/users/nobody/role", json={"role": "viewer"}).status_code == 404
    (newest, *_) = client.get("/v1/audit").json()
    assert (newest["actor"], newest["action"], newest["subject"]) == ("admin", "role changed", "uwe")
    assert newest["about"] == {"role": "viewer"}
    client.close()
    uwe.close()


def test_the_last_admin_stays(served: Running) -> None:
    client = served.sign_in()
    assert client.delete("/v1/users/admin").status_code == 409
    for role, status in (("viewer", 409), ("admin", 204)):
        assert client.put("/v1/users/admin/role", json={"role": role}).status_code == status
    client.close()


def test_a_new_password_ends_the_old_sessions(tmp_path: Path) -> None:
    with running(tmp_path, {"security": {"logins_per_minute": 600}}) as served:
        client, other = served.sign_in("reviewer"), served.sign_in("reviewer")
        new = {"password": "an even better one"}
        assert client.put("/v1/session/password", json=new).status_code == 422
        assert client.put("/v1/session/password", json=new | {"current": "a guess"}).status_code == 403
        assert other.get("/v1/session").status_code == 200, "a session left open changes no password"
        admin = served.sign_in()
        assert admin.put("/v1/users/admin/password", json=new).status_code == 409, "nor does an admin's"
        assert admin.put("/v1/users/viewer/password", json=new).status_code == 204
        admin.close()
        assert client.put("/v1/session/password", json=new | {"current": PASSWORD}).status_code == 204
        assert other.get("/v1/session").status_code == 401
        old = client.post("/v1/session", json={"name": "reviewer", "password": PASSWORD})
        assert old.status_code == 401
        client.close()
        other.close()


def test_nothing_secret_is_stored_in_plain(served: Running) -> None:
    served.sign_in().close()
    content = (served.service.store.folder / "sever.db").read_bytes()
    content += (served.service.store.folder / "sever.db-wal").read_bytes()
    for secret in (PASSWORD, *served.keys.values()):
        assert secret.encode() not in content
    assert b"$argon2id$" in content


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/v1/answers/..%2f..%2fsever.db",
        "/v1/answers/%2e%2e/image",
        "/static/../x",
    ],
)
def test_no_path_of_a_request_leads_to_the_disk(served: Running, path: str) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:  # httpx would tidy the path up
        key = served.keys["admin"]
        raw.sendall(
            f"GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n".encode()
        )
        answer = b""
        while part := raw.recv(65536):
            answer += part
    assert b" 404 " in answer.split(b"\r\n")[0]
    assert b"SQLite format" not in answer
    assert b"root:" not in answer


def test_names_of_images_become_no_files_and_no_markup(served: Running) -> None:
    name = "../../<script>alert(1)</script>"
    with served.client() as client:
        sent = client.post("/v1/inspect", content=png(spots()), params={"name": name})
    assert sent.json()["name"] == name
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["x-content-type-options"] == "nosniff"
    files = [path for path in served.service.store.folder.rglob("*") if path.is_file()]
    assert {path.parent.parent.name for path in files if "images" in path.parts} == {"images"}


def test_html_that_poses_as_an_image_is_never_served_as_html(served: Running) -> None:
    with served.client() as client:
        refused = client.post(
            "/v1/inspect", content=b"<html><script>alert(1)</script>", headers={"content-type": "text/html"}
        )
        assert refused.status_code == 422
        uid = client.post("/v1/inspect", content=png(spots()), headers={"content-type": "text/html"}).json()["id"]
        assert client.get(f"/v1/answers/{uid}/image").headers["content-type"] == "image/png"


def test_every_response_has_the_security_headers(served: Running) -> None:
    for path in ("/health/live", "/v1/answers", "/nothing"):
        headers = httpx.get(served.url + path, trust_env=False).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert headers["x-frame-options"] == "DENY"


def test_the_first_admin_has_a_random_password_that_is_told_once(tmp_path: Path) -> None:
    store, said = Store(tmp_path, durable=False), list[str]()
    first_admin(store, said.append)
    first_admin(store, said.append)
    (line,) = said
    password = line.split("password ")[1].split(" ")[0]
    assert len(password) >= 20
    kept = store.read(lambda c: c.execute(select(tables.users.c.password)).scalar_one())
    assert kept.startswith("$argon2id$")
    store.close()


def test_a_lost_password_is_replaced_by_whoever_holds_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path):
        pass
    assert sever("serve", "password", "admin", "--store", tmp_path) == 0
    password = capsys.readouterr().out.splitlines()[-1]
    with running(tmp_path) as served, served.client(None) as client:
        assert client.post("/v1/session", json={"name": "admin", "password": password}).status_code == 200
    assert sever("serve", "password", "nobody", "--store", tmp_path) == 2


def test_another_machine_is_served_over_tls_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="plain text"):
        raise_unless_guarded(ServeSettings(host="0.0.0.0"))
    with pytest.raises(InputError, match="go together"):
        raise_unless_guarded(ServeSettings.model_validate({"security": {"tls_key": tmp_path}}))
    raise_unless_guarded(ServeSettings.model_validate({"host": "10.0.0.1", "security": {"behind_proxy": True}}))
    (tmp_path / "c.pem").write_text("no certificate")
    both = {"tls_certificate": tmp_path / "c.pem", "tls_key": tmp_path / "c.pem"}
    with pytest.raises(InputError, match="can't be used for TLS"):
        raise_unless_guarded(ServeSettings.model_validate({"security": both}))
    assert ServeSettings().host == "127.0.0.1"


def test_https_answers_and_marks_its_cookie(tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(
        [*make, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    security = {"tls_certificate": certificate, "tls_key": key}
    with running(tmp_path / "s", {"security": security}) as served:
        trust = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=served.url.replace("http:", "https:"), verify=trust, trust_env=False) as client:
            answer = client.post("/v1/session", json={"name": "admin", "password": PASSWORD})
    assert "secure" in answer.headers["set-cookie"].lower()
    assert "max-age" in answer.headers["strict-transport-security"]
