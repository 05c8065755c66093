"""What is acknowledged is kept, once: across repeated requests, kill -9, backup and restore, SQLite and PostgreSQL."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from command_line import sever
from serve_kills import Sender, count_answers
from serve_maker import png, running, spots, wait_for
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import OperationalError

from sever.config.serve import RetentionSettings
from sever.deliver.serve.security.audit import first_broken, note
from sever.deliver.serve.storage import tables
from sever.deliver.serve.storage.backup import back_up, restore
from sever.deliver.serve.storage.database import one_service
from sever.deliver.serve.storage.retention import DAY, sweep
from sever.deliver.serve.storage.store import Store
from sever.errors import InputError


def count(store: Store, table: object) -> int:
    return store.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server of this machine's packages, on a Unix socket, as a user who is not root."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed: pip install 'sever[postgresql]'")
    binaries, folder = found[-1].parent, Path("/tmp") / f"sever-pg-{os.getpid()}"
    folder.mkdir(mode=0o777)
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = folder / "data"
    subprocess.run(
        [*as_user, binaries / "initdb", "-D", data, "-A", "trust", "-U", "sever"], check=True, capture_output=True
    )
    server = subprocess.Popen(
        [*as_user, binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-F"],
        stderr=subprocess.DEVNULL,
    )
    ready = [binaries / "pg_isready", "-q", "-h", folder]
    wait_for(lambda: subprocess.run(ready, check=False).returncode == 0)
    yield f"postgresql://sever@/postgres?host={folder}"
    server.send_signal(signal.SIGINT)
    server.wait(20)
    shutil.rmtree(folder)


def empty(url: str) -> None:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'own.db'}"
        return
    url = request.getfixturevalue("postgresql")
    empty(url)
    yield url


def test_migrations_lead_to_the_tables(database: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "store", database)
    assert store.read(lambda c: compare_metadata(MigrationContext.configure(c), tables.METADATA)) == []
    store.close()


def test_answers_are_kept_found_and_given_again(database: str, tmp_path: Path) -> None:
    with running(tmp_path / "s", database=database) as served, served.client() as client:
        key = {"idempotency-key": "coil 7, image 1"}
        first = client.post("/v1/inspect?coil=7", content=png(spots()), headers=key).json()
        again = client.post("/v1/inspect?coil=7", content=png(spots()), headers=key).json()
        assert again == first, "the same key: the same answer"
        sure = spots()
        sure[:] = 255
        client.post("/v1/inspect?coil=8&position_m=2.5", content=png(sure))
        assert client.get("/v1/answers").json()["total"] == 2
        found = client.get("/v1/answers?coil=7&masks=runs").json()["answers"]
        assert found == [first]
        assert client.get("/v1/answers?class_name=dark").json()["total"] == 1
        assert client.get("/v1/answers?class_name=%27%20OR%201=1--").json()["total"] == 0
        by_doubt = client.get("/v1/answers?order=uncertainty").json()["answers"]
        assert [each["coil"] for each in by_doubt] == ["7", "8"]
        assert client.get(f"/v1/answers/{first['id']}/image").content == png(spots())
        assert client.get("/v1/answers/none").status_code == 404


def test_statistics_count_what_is_in_the_store(database: str, tmp_path: Path) -> None:
    with running(tmp_path / "s", database=database) as served, served.client() as client:
        ids = [client.post("/v1/inspect", content=png(spots(seed=seed))).json()["id"] for seed in range(3)]
        for uid, verdict in zip(ids, ("accepted", "rejected"), strict=False):
            client.post(f"/v1/answers/{uid}/corrections", json={"base": 0, "verdict": verdict})
        created = sorted(client.get(f"/v1/answers/{uid}").json()["created"] for uid in ids)
        window = {"since": created[0] - 10, "until": created[-1] + 10, "bins": 4}
        found = client.get("/v1/statistics", params=window).json()
        empty = client.get("/v1/statistics", params={"since": 0, "until": 100, "bins": 2}).json()
        assert client.get("/v1/statistics", params={"since": 5, "until": 5}).status_code == 422
    totals = found["totals"]
    assert (totals["images"], totals["defects"], totals["judged"], totals["accepted"]) == (3, 6, 2, 1)
    assert sum(each["images"] for each in found["bins"]) == 3
    assert sum(each["defects"].get("bright", 0) for each in found["bins"]) == 3
    assert totals["metres"] == 0.09, "30 pixels of 1 mm, three times"
    assert sum(each["metres"] for each in found["bins"]) == pytest.approx(0.09)
    assert found["training"] == {"brightness": None, "familiarity": None}
    assert 120 < totals["brightness"] < 136
    assert totals["seconds_most"] >= totals["seconds_mean"] > 0
    assert empty["totals"]["images"] == 0
    counts = {"images": 0, "metres": 0.0, "judged": 0, "accepted": 0}
    means = ("brightness", "familiarity", "seconds_mean", "seconds_most")
    assert empty["bins"][1] == {"since": 50.0, "defects": {}} | counts | dict.fromkeys(means)


@pytest.mark.parametrize("order", ["time", "uncertainty", "defects", "position"])
def test_pages_hold_every_answer_once(tmp_path: Path, order: str) -> None:
    with running(tmp_path) as served, served.client() as client:
        for index in range(7):
            client.post(f"/v1/inspect?position_m={index % 3 / 3}", content=png(spots(seed=index)))
        seen, query = [], {"order": order, "limit": 2}
        while True:
            page = client.get("/v1/answers", params=query).json()
            seen += [each["id"] for each in page["answers"]]
            if page["next"] is None:
                break
            query["after"] = page["next"]
    assert len(seen) == len(set(seen)) == 7


def test_one_image_many_times_at_once_is_no_fault(tmp_path: Path) -> None:
    """Found under load: two threads wrote the same new file, under the same temporary name."""
    store = Store(tmp_path, durable=False)
    start = threading.Barrier(8)

    def keep(number: int) -> list[str]:
        found = []
        for turn in range(20):
            start.wait(20)
            found.append(store.pictures.keep(b"image" * 100_000 + bytes([turn])))
        return found

    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(keep, range(8)))
    assert len({tuple(each) for each in digests}) == 1
    assert sorted(digests[0]) == sorted(store.pictures)
    store.close()


def test_an_image_is_on_disk_once(tmp_path: Path) -> None:
    with running(tmp_path) as served, served.client() as client:
        for _ in range(3):
            client.post("/v1/inspect", content=png(spots()))
        assert len(list(served.service.store.pictures)) == 1
        assert client.get("/v1/answers").json()["total"] == 3


def test_the_trail_only_grows_and_shows_what_was_changed_behind_it(database: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "s", database)
    for number in range(3):
        store.write(lambda c, n=number: note(c, "somebody", "did", str(n), x=n))
    assert store.read(first_broken) is None
    for change in ("UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"):
        with pytest.raises(Exception, match="only grows"):
            store.write(lambda c, sql=change: c.execute(text(sql)))
    assert count(store, tables.audit) == 3
    if store.engine.dialect.name == "sqlite":
        store.write(lambda c: c.execute(text("DROP TRIGGER audit_no_update")))
        store.write(lambda c: c.execute(text("UPDATE audit SET actor = 'nobody' WHERE id = 2")))
        assert store.read(first_broken) == 2
    store.close()


def test_one_fault_undoes_its_own_job_alone(database: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "s", database)
    barrier = threading.Event()

    def good(connection: object, key: str = "a") -> None:
        barrier.wait(10)
        connection.execute(tables.state.insert().values(key=key, value=1))  # type: ignore[attr-defined]

    def bad(connection: object) -> None:
        good(connection, "b")
        raise RuntimeError("planted")

    jobs = [store.writer.submit(call) for call in (good, bad, lambda c: good(c, "c"))]
    barrier.set()
    with pytest.raises(RuntimeError, match="planted"):
        jobs[1].result(10)
    jobs[2].result(10)
    assert set(store.read(lambda c: c.execute(select(tables.state.c.key)).scalars())) == {"a", "c"}
    store.close()


def test_retention_keeps_what_it_must(tmp_path: Path) -> None:
    """Four images: with defects, clean, clean but corrected, and one that was never answered."""
    clean = [png(spots()[:2] * 0 + 128 + number) for number in range(2)]
    with running(tmp_path) as served, served.client() as client:
        ids = [client.post("/v1/inspect", content=data).json()["id"] for data in (png(spots()), *clean)]
        store = served.service.store
        store.write(
            lambda c: c.execute(tables.answers.update().where(tables.answers.c.uid == ids[2]).values(version=1))
        )
        store.pictures.keep(b"never answered")
        later = time.time() + 10 * DAY
        assert sweep(store, RetentionSettings()).images == 0, "just sent"
        assert sweep(store, RetentionSettings(), later).images == 1, "only what nobody asked for"
        assert sweep(store, RetentionSettings(clean_image_days=5), later).images == 1
        gone = client.get(f"/v1/answers/{ids[1]}").json()
        assert gone["image"]["kept"] is False
        assert client.get(f"/v1/answers/{ids[1]}/image").status_code == 404
        assert sweep(store, RetentionSettings(image_days=20), later).images == 0
        dropped = sweep(store, RetentionSettings(image_days=5, answer_days=5), later)
        assert (dropped.answers, dropped.images) == (2, 1)
        assert [each["id"] for each in client.get("/v1/answers").json()["answers"]] == [ids[2]]
        again = client.post("/v1/inspect", content=clean[0]).json()
        assert client.get(f"/v1/answers/{again['id']}/image").content == clean[0], "sent again, kept again"


@pytest.mark.parametrize(
    ("source", "target"), [("sqlite", "sqlite"), ("sqlite", "postgresql"), ("postgresql", "sqlite")]
)
def test_a_backup_restores_everything(source: str, target: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    urls = {"sqlite": None, "postgresql": request.getfixturevalue("database_of")(source, target)}
    with running(tmp_path / "a", database=urls[source]) as served, served.client() as client:
        answers = [client.post("/v1/inspect", content=png(spots(seed=n))).json() for n in range(3)]
        back_up(tmp_path / "a", urls[source], tmp_path / "b.tar")
        keys = served.keys
    counts = restore(tmp_path / "b.tar", tmp_path / "new", urls[target])
    assert (counts["answers"], counts["image files"]) == (3, 3)
    with running(tmp_path / "new", database=urls[target]) as served:
        served.keys = keys
        with served.client() as client:
            for answer in answers:
                assert client.get(f"/v1/answers/{answer['id']}").json() == answer
                assert client.get(f"/v1/answers/{answer['id']}/image").status_code == 200
            assert client.post("/v1/inspect", content=png(spots(seed=9))).status_code == 200
            assert served.service.store.read(first_broken) is None
    with pytest.raises(InputError, match="not empty"):
        restore(tmp_path / "b.tar", tmp_path / "new", urls[target])


@pytest.fixture
def database_of(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    """An empty PostgreSQL where one of the two is asked for."""

    def find(*kinds: str) -> str | None:
        if "postgresql" not in kinds:
            return None
        url = str(request.getfixturevalue("postgresql"))
        empty(url)
        return url

    return find


def test_a_backup_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "a") as served, served.client() as client:
        client.post("/v1/inspect", content=png(spots()))
        back_up(tmp_path / "a", None, tmp_path / "b.tar")
    data = (tmp_path / "b.tar").read_bytes()
    end = data.index(b"end.json")  # a member's name begins its block
    for cut in {0, 100, 512, end // 2 // 512 * 512, end // 2 + 7, end - 512, end, end + 512}:
        (tmp_path / "half.tar").write_bytes(data[:cut])
        with pytest.raises(InputError, match=r"half\.tar is no"):
            restore(tmp_path / "half.tar", tmp_path / f"new-{cut}", None)


def _members(folder: Path) -> dict[str, bytes]:
    with running(folder / "a") as served, served.client() as client:
        client.post("/v1/inspect", content=png(spots()))
        back_up(folder / "a", None, folder / "b.tar")
    with tarfile.open(folder / "b.tar") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def _repack(file: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_a_backup_that_says_nonsense_is_refused_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = _members(tmp_path)
    row = members["tables/answers.jsonl"]
    picture = next(name for name in members if name.startswith("images/"))
    damages: list[dict[str, bytes]] = [
        {"backup.json": b"[]"},
        {"backup.json": b"[" * 200_000},
        {"backup.json": b'{"version": 1}'},
        {"backup.json": b'{"version": 1, "revision": "no such"}'},
        {"backup.json": b'{"version": 1, "revision": 7}'},
        {"backup.json": b"\xff"},
        {"end.json": b"null"},
        {"tables/answers.jsonl": b"[1, 2]"},
        {"tables/answers.jsonl": b"{}"},
        {"tables/answers.jsonl": b'{"no such column": 1}'},
        {"tables/answers.jsonl": row + b"\n" + row},
        {"tables/answers.jsonl": row.replace(b'"id": 1', b'"id": 99999999999999999999', 1)},
        {"tables/answers.jsonl": row.replace(b'"id": 1', b'"id": {"a": [1]}', 1)},
        {"tables/answers.jsonl": b'{"id": ' * 100_000},
        {"tables/no_such.jsonl": b"{}"},
        {"../../outside": b"{}"},
        {"images/../../outside": b"x"},
        {picture: members[picture][:-1]},
    ]
    for number, damage in enumerate(damages):
        assert all(members.get(name) != content for name, content in damage.items())
        _repack(tmp_path / "bad.tar", members | damage)
        assert sever("serve", "restore", tmp_path / "bad.tar", "--store", tmp_path / "new") == 2, damage
        said = capsys.readouterr().err
        assert "Traceback" not in said, (number, said)
        assert not (tmp_path / "new").exists(), damage
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b.tar", "bad.tar"]
    _repack(tmp_path / "good.tar", members)
    assert sever("serve", "restore", tmp_path / "good.tar", "--store", tmp_path / "new") == 0


def test_a_sparse_member_of_a_backup_is_refused(tmp_path: Path) -> None:
    """A few bytes of file that stand for gigabytes of zeros."""
    about = _members(tmp_path)["backup.json"]
    _repack(tmp_path / "bad.tar", {"backup.json": about})
    with tarfile.open(tmp_path / "bad.tar", "a") as tar:
        hole = tarfile.TarInfo("tables/answers.jsonl")
        hole.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(8 << 30)}
        tar.addfile(hole)
    with tarfile.open(tmp_path / "bad.tar") as tar:
        assert tar.getmembers()[1].size == 8 << 30
    with pytest.raises(InputError, match="is not a regular file"):
        restore(tmp_path / "bad.tar", tmp_path / "new", None)


@pytest.mark.parametrize("damage", [b"no database at all", None])
@pytest.mark.parametrize("command", ["export", "backup", "password"])
def test_a_damaged_store_is_named(
    command: str, damage: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _members(tmp_path)
    database = tmp_path / "a" / "sever.db"
    data = database.read_bytes()
    database.write_bytes(damage or data[:4096] + bytes(len(data) - 4096))
    words = {"password": ["admin"]}.get(command, ["-o", tmp_path / "out"])
    assert sever("serve", command, "--store", tmp_path / "a", *words) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "sever.db can't be used" in said
    assert not (tmp_path / "out").exists()


def test_a_damaged_image_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = next(name for name in _members(tmp_path) if name.startswith("images/")).rpartition("/")[2]
    (found,) = (tmp_path / "a").rglob(picture)
    found.write_bytes(b"another")
    assert sever("serve", "backup", "--store", tmp_path / "a", "-o", tmp_path / "c.tar") == 0
    said = capsys.readouterr().err.replace("\n", "")
    assert str(found) in said
    assert "the backup continues without it" in said
    assert sever("serve", "restore", tmp_path / "c.tar", "--store", tmp_path / "c") == 0


def test_a_damaged_image_is_told_and_mended_by_sending_it_again(tmp_path: Path) -> None:
    with running(tmp_path) as served, served.client() as client:
        about = {"coil": "C"}
        uid = client.post("/v1/inspect", content=png(spots()), params=about).json()["id"]
        other = client.post("/v1/inspect", content=png(spots(seed=1)), params=about).json()["id"]
        for each in (uid, other):
            correction = {"base": 0, "verdict": "accepted"}
            assert client.post(f"/v1/answers/{each}/corrections", json=correction).status_code == 201
        digest = client.get(f"/v1/answers/{uid}").json()["image"]["sha256"]
        (found,) = tmp_path.rglob(digest)
        found.write_bytes(b"")
        for form in ("image", "image.png", "overlay.png"):
            answer = client.get(f"/v1/answers/{uid}/{form}")
            assert answer.status_code == 404
            assert "damaged in the store" in answer.text
        assert client.get("/v1/coils/map.png", params=about).status_code == 200
        assert client.get("/v1/export.zip").status_code == 200, "the other one is exported"
        client.post("/v1/inspect", content=png(spots()))
        assert client.get(f"/v1/answers/{uid}/image").content == png(spots())


def test_a_database_that_is_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection"))

    with running(tmp_path) as served, served.client() as client:
        monkeypatch.setattr("sever.deliver.serve.routes.answers.count_answers", away)
        answer = client.get("/v1/answers")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "database" in answer.text


def test_a_store_of_images_that_hangs_holds_up_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    with running(tmp_path, {"limits": {"deadline_seconds": 1}}) as served, served.client() as client:
        monkeypatch.setattr(served.service.store.pictures, "keep", lambda data: hold.wait(60))
        with ThreadPoolExecutor(40) as pool:
            jobs = [pool.submit(client.post, "/v1/inspect", content=png(spots(seed=n))) for n in range(40)]
            wait_for(lambda: served.service.room.taken == 40)
            began = time.monotonic()
            assert client.get("/v1/models").status_code == 200
            assert time.monotonic() - began < 20
            assert {job.result().status_code for job in jobs} == {503}
        hold.set()
        assert client.get("/v1/answers").json()["total"] == 0


def test_an_image_that_cannot_be_kept_is_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "no space left on device")

    with running(tmp_path) as served, served.client() as client:
        monkeypatch.setattr(served.service.store.pictures, "keep", full)
        answer = client.post("/v1/inspect", content=png(spots()))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert client.get("/v1/answers").json()["total"] == 0


def test_two_services_on_one_database_though_in_two_folders(database: str, tmp_path: Path) -> None:
    with running(tmp_path / "a", database=database) as served, one_service(served.service.store.engine):
        code = "import sys\nfrom sever.deliver.serve.storage.database import one_service, open_database\n"
        code += "with one_service(open_database(sys.argv[1])): pass"
        other = [sys.executable, "-c", code, database or f"sqlite:///{tmp_path / 'a' / 'sever.db'}"]
        said = subprocess.run(other, check=False, capture_output=True, text=True).stderr
        assert "InputError" in said
        assert "in use by another service" in said or f"process {os.getpid()}" in said
    assert subprocess.run(other, check=False).returncode == 0


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    store.close()
    with pytest.raises(InputError, match="newer release"):
        Store(tmp_path)


@pytest.mark.parametrize("url", ["nonsense", "mysql://a@b/c", "sqlite://", "postgresql://x:secret@127.0.0.1:1/x"])
def test_a_database_that_cannot_be_used_is_named_without_its_password(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sever("serve", "password", "--store", tmp_path, "--db", url) == 2
    said = capsys.readouterr().err
    assert "secret" not in said
    assert "Traceback" not in said


def test_every_acknowledged_answer_is_kept_once_across_kills(tmp_path: Path) -> None:
    """A few kills under load; `python tests/serve/serve_kills.py 100` does a hundred."""
    sender = Sender(tmp_path / "store", kills=2, seconds=0.5)
    sender.run()
    assert sender.acknowledged
    kept = count_answers(tmp_path / "store")
    assert {key: kept.get(key) for key in sender.acknowledged} == dict.fromkeys(sender.acknowledged, 1)
    assert set(kept.values()) == {1}


def test_a_large_table_takes_no_memory(tmp_path: Path) -> None:
    """Rows go from the database to the tar, and back, some hundreds at a time."""
    store = Store(tmp_path / "a", durable=False)
    row = {"path": "x" * 2000, "done": 1.0}
    store.write(lambda c: c.execute(tables.files.insert(), [row | {"key": f"{n:064}"} for n in range(10_000)]))
    tracemalloc.start()
    try:
        assert back_up(tmp_path / "a", None, tmp_path / "b.tar")["files"] == 10_000
        assert restore(tmp_path / "b.tar", tmp_path / "c", None)["files"] == 10_000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        store.close()
    assert (tmp_path / "b.tar").stat().st_size > 20e6
    assert most < 12e6
