"""People with passwords, machines with keys, and sessions; the functions take a connection and know no HTTP.

Passwords are kept as argon2id. Keys and session tokens are 256 random bits, so that a plain digest of them is enough.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from functools import cache
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import Connection, and_, delete, select, update

from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.security.audit import note
from sever.deliver.serve.storage import tables

Role = Literal["viewer", "reviewer", "admin"]
# Each may do what those before it may.
ROLES: tuple[Role, ...] = ("viewer", "reviewer", "admin")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 200
KEY_PREFIX = "sever_"
_HASHER = PasswordHasher()


@dataclass(frozen=True)
class Principal:
    """Who asks. `csrf` is the token that a session's changes must bring; keys need none."""

    name: str
    role: Role
    csrf: str | None = None

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str) -> str:
    """Takes half a second on purpose, so not where others wait. Raises Refusal for one that is too short or long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Refusal(422, f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return _HASHER.hash(password)


def add_user(connection: Connection, name: str, password_hash: str, role: Role, actor: str) -> None:
    """Raises Refusal for a name that is taken."""
    if connection.execute(select(tables.users.c.id).where(tables.users.c.name == name)).first():
        raise Refusal(409, f"there is, or was, a user {name!r} already")
    values = {"name": name, "password": password_hash, "role": role, "created": time.time()}
    connection.execute(tables.users.insert().values(values))
    note(connection, actor, "user added", name, role=role)


def change_password(connection: Connection, name: str, password_hash: str, actor: str) -> None:
    """Ends the user's sessions."""
    number = _user_number(connection, name)
    connection.execute(update(tables.users).where(tables.users.c.id == number).values(password=password_hash))
    connection.execute(delete(tables.sessions).where(tables.sessions.c.user == number))
    note(connection, actor, "password changed", name)


def change_role(connection: Connection, name: str, role: Role, actor: str) -> None:
    """Holds from the user's next request. Raises Refusal for the last admin, who stays one."""
    number = _user_number(connection, name)
    if role != "admin":
        _raise_if_last_admin(connection, number, name)
    connection.execute(update(tables.users).where(tables.users.c.id == number).values(role=role))
    note(connection, actor, "role changed", name, role=role)


def end_user(connection: Connection, name: str, actor: str) -> None:
    """A user stays in the trail and in what he wrote, but can't come in any more. Raises Refusal for the last admin."""
    number = _user_number(connection, name)
    _raise_if_last_admin(connection, number, name)
    connection.execute(update(tables.users).where(tables.users.c.id == number).values(ended=time.time()))
    connection.execute(delete(tables.sessions).where(tables.sessions.c.user == number))
    note(connection, actor, "user ended", name)


def password_hash_of(connection: Connection, name: str) -> str | None:
    users = tables.users.c
    return connection.execute(select(users.password).where(users.name == name, users.ended.is_(None))).scalar()


def is_password(known_hash: str | None, password: str) -> bool:
    """Takes as long for a user who doesn't exist, so that names can't be found out by the clock."""
    try:
        return _HASHER.verify(known_hash or _nobodys_hash(), password) and known_hash is not None
    except (Argon2Error, InvalidHashError):
        return False


def begin_session(connection: Connection, name: str, seconds: float) -> tuple[str, str]:
    """Returns the token for the cookie and the one against forged requests (CSRF)."""
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    now = time.time()
    connection.execute(delete(tables.sessions).where(tables.sessions.c.expires < now))
    values = {"digest": digest_of(token), "user": _user_number(connection, name), "csrf": csrf}
    connection.execute(tables.sessions.insert().values(**values, expires=now + seconds))
    note(connection, name, "signed in", name)
    return token, csrf


def end_session(connection: Connection, token: str, actor: str) -> None:
    connection.execute(delete(tables.sessions).where(tables.sessions.c.digest == digest_of(token)))
    note(connection, actor, "signed out", actor)


def who_has_session(connection: Connection, token: str) -> Principal | None:
    users, sessions = tables.users.c, tables.sessions.c
    valid = and_(sessions.digest == digest_of(token), sessions.expires > time.time(), users.ended.is_(None))
    row = connection.execute(
        select(users.name, users.role, sessions.csrf).select_from(tables.sessions.join(tables.users)).where(valid)
    ).first()
    return None if row is None else Principal(row.name, row.role, row.csrf)


def add_key(connection: Connection, name: str, role: Role, actor: str) -> str:
    """Returns the key, which is kept nowhere. Raises Refusal for a name that is taken."""
    if connection.execute(select(tables.keys.c.id).where(tables.keys.c.name == name)).first():
        raise Refusal(409, f"there is, or was, a key {name!r} already")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    values = {"name": name, "digest": digest_of(key), "role": role, "created": time.time()}
    connection.execute(tables.keys.insert().values(values))
    note(connection, actor, "key added", name, role=role)
    return key


def end_key(connection: Connection, name: str, actor: str) -> None:
    keys = tables.keys.c
    ended = connection.execute(
        update(tables.keys).where(keys.name == name, keys.ended.is_(None)).values(ended=time.time())
    )
    if not ended.rowcount:
        raise Refusal(404, f"there is no key {name!r}")
    note(connection, actor, "key ended", name)


def who_has_key(connection: Connection, key: str) -> Principal | None:
    keys = tables.keys.c
    row = connection.execute(
        select(keys.name, keys.role).where(keys.digest == digest_of(key), keys.ended.is_(None))
    ).first()
    return None if row is None else Principal(f"key {row.name}", row.role)


def has_users(connection: Connection) -> bool:
    return connection.execute(select(tables.users.c.id).limit(1)).first() is not None


def _raise_if_last_admin(connection: Connection, number: int, name: str) -> None:
    users = tables.users.c
    admins = connection.execute(select(users.id).where(users.role == "admin", users.ended.is_(None))).scalars().all()
    if list(admins) == [number]:
        raise Refusal(409, f"{name!r} is the only admin; add another one first")


def _user_number(connection: Connection, name: str) -> int:
    users = tables.users.c
    number = connection.execute(select(users.id).where(users.name == name, users.ended.is_(None))).scalar()
    if number is None:
        raise Refusal(404, f"there is no user {name!r}")
    return int(number)


@cache
def _nobodys_hash() -> str:
    return _HASHER.hash(secrets.token_urlsafe(16))
