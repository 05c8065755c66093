"""A database by its URL: SQLite or PostgreSQL; brought to this release's tables; knows not what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from sever.errors import InputError
from sever.locks import one_writer_of

WRITES = "writes"
_ONE_SERVICE = 0x5E7E5
_MIGRATIONS = Path(__file__).parent / "migrations"
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


def open_database(url: str, durable: bool = True, revision: str = "head") -> Engine:
    """An engine on a database whose tables are of this release, or of an older one's `revision`. Raises InputError
    where that can't be had."""
    engine = _engine(url, durable)
    with usable(url):
        _migrate(engine, revision)
    return engine


@contextmanager
def usable(url: str) -> Iterator[None]:
    """Raises InputError where the database is at fault: not there, in other hands, damaged."""
    try:
        yield
    except (DBAPIError, CommandError) as error:
        why = error.orig if isinstance(error, DBAPIError) else error
        raise InputError(f"the database {_shown(url)} can't be used: {why}") from error


def _engine(url: str, durable: bool) -> Engine:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in _DRIVERS:
            raise InputError(f"--db {_shown(url)}: give sqlite:///FILE or postgresql://USER@HOST/NAME")
        parsed = parsed.set(drivername=_DRIVERS[backend])
        if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
            raise InputError("--db sqlite: needs a file (sqlite:///FILE): what is kept in memory alone is soon lost")
        engine = create_engine(parsed, pool_pre_ping=backend != "sqlite")
    except ArgumentError as error:
        raise InputError(
            "--db is not a URL of a database; give sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from error
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise InputError("PostgreSQL needs a driver: pip install 'sever[postgresql]'") from error
    if backend == "sqlite":
        _set_up_sqlite(engine, durable)
    return engine


def _set_up_sqlite(engine: Engine, durable: bool) -> None:
    """Readers beside one writer (WAL); transactions begin where SQLAlchemy says, so that savepoints work."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", f"synchronous={'FULL' if durable else 'NORMAL'}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()
        connection.execute("PRAGMA busy_timeout=30000").close()

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        # A transaction that reads first and writes then would fail where another process wrote in between.
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def one_service(engine: Engine) -> Iterator[None]:
    """Hold a database for as long as a service runs on it: of two, each would send what is in the outbox.

    SQLite: the lock beside its file; PostgreSQL: an advisory lock of a connection. Raises InputError where another has
    it.
    """
    if engine.dialect.name == "sqlite":
        with one_writer_of(Path(str(engine.url.database))):
            yield
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ONE_SERVICE}).scalar_one():
            shown = engine.url.render_as_string(hide_password=True)
            raise InputError(f"the database {shown} is in use by another service; end that one, or give another --db")
        yield


def current_revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _migrate(engine: Engine, revision: str) -> None:
    """Raises InputError for a database that a newer release wrote."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        current = current_revision(connection)
        if current is not None and current not in known:
            raise InputError(f"the database is of a newer release of sever (revision {current}): take that one")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _shown(url: str) -> str:
    """Without the password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not a URL)"
