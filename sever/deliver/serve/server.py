"""Runs the application on uvicorn: the address, TLS, first admin, and an end that answers what was accepted."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvicorn

from sever.config.serve import ServeSettings
from sever.deliver.serve.app import make_app
from sever.deliver.serve.connections import guarded
from sever.deliver.serve.model import ServedModel
from sever.deliver.serve.models import Models
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.security import people
from sever.deliver.serve.service import Service
from sever.deliver.serve.storage.database import one_service
from sever.deliver.serve.storage.store import Store, open_existing
from sever.errors import InputError
from sever.locks import one_writer
from sever.near_names import NearNames, missing

LOGGER = logging.getLogger("sever.serve")
FIRST_ADMIN = "admin"
BACKLOG = 128


def serve(
    settings: ServeSettings,
    model: ServedModel,
    available: Mapping[str, Callable[[], ServedModel]],
    say: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT. `say` gets what belongs on standard output: address, first password.

    Raises InputError for an address, certificate or store that can't be used.
    """
    raise_unless_guarded(settings)
    raise_unless_alarms_fit(settings, model)
    with one_writer(settings.store, f"{settings.store} is in use by another service"), ExitStack() as held:
        store = Store(settings.store, settings.database, settings.durable, settings.images)
        held.enter_context(one_service(store.engine))
        service = Service(settings, store, Models(model, available))
        server = AnsweringServer(configure(settings, service), service)
        listener = listen(settings)
        first_admin(store, say)
        scheme = "https" if settings.security.tls_certificate else "http"
        host, port = listener.getsockname()[:2]
        say(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        with listener, _ending_well():
            server.run(sockets=[listener])


class AnsweringServer(uvicorn.Server):
    """uvicorn closes streams at once when it stops; this one lets each answer its image first."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._service.streams.end(self._service.settings.limits.stop_seconds)
        await super().shutdown(sockets)


@contextmanager
def _ending_well() -> Iterator[None]:
    """uvicorn raises the signal that stopped it once more, for whoever was there before it; that would kill us."""
    stops = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in stops}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def first_admin(store: Store, say: Callable[[str], None]) -> None:
    """An admin with a random password, which is shown once and kept as a hash, where nobody can come in yet."""
    if store.read(people.has_users):
        return
    password = secrets.token_urlsafe(15)
    hashed = people.hash_password(password)
    store.write(lambda connection: people.add_user(connection, FIRST_ADMIN, hashed, "admin", "first start"))
    say(f"the first user is {FIRST_ADMIN}, password {password} (shown this once)")


def new_password(settings: ServeSettings, name: str) -> str:
    """A random password for a user, by whoever can write to the store. Raises InputError for an unknown one."""
    password = secrets.token_urlsafe(15)
    hashed = people.hash_password(password)
    with open_existing(settings.store, settings.database) as store:
        try:
            store.write(lambda connection: people.change_password(connection, name, hashed, "command line"))
        except Refusal as refusal:
            raise InputError(refusal.message) from refusal
    return password


def raise_unless_guarded(settings: ServeSettings) -> None:
    """Passwords and keys don't cross a network in plain text. Raises InputError."""
    security = settings.security
    if (security.tls_certificate is None) != (security.tls_key is None):
        raise InputError("security.tls_certificate and tls_key go together; give both, or neither")
    for path in filter(None, (security.tls_certificate, security.tls_key)):
        if not path.is_file():
            raise InputError(f"security.tls_certificate, tls_key: {missing(path, 'file')}")
    if security.tls_certificate and security.tls_key:
        _raise_unless_pair(security.tls_certificate, security.tls_key)
    if not (_is_loopback(settings.host) or security.tls_certificate or security.behind_proxy):
        raise InputError(
            f"--host {settings.host} is reached from other machines, and passwords would cross the network in plain "
            "text; give --tls-certificate and --tls-key, or listen on 127.0.0.1 behind a proxy that does TLS "
            "(security.behind_proxy)"
        )


def _raise_unless_pair(certificate: Path, key: Path) -> None:
    try:
        # A key with a passphrase is refused: nobody is there to type it.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise InputError(
            f"{certificate} and {key} can't be used for TLS: {getattr(error, 'strerror', None) or error}; give a "
            "certificate in PEM and its own key, without a passphrase"
        ) from error


def raise_unless_alarms_fit(settings: ServeSettings, model: ServedModel) -> None:
    """An alarm on a class that no model knows would never be raised. Raises InputError."""
    near = NearNames(model.class_names)
    for alarm in settings.alarms:
        if alarm.class_name is not None and alarm.class_name not in model.class_names:
            raise InputError(
                f"alarms: {alarm.name!r} waits for class {alarm.class_name!r}, but {model.name} knows "
                f"{', '.join(model.class_names)}{near.hint(alarm.class_name)}"
            )


def listen(settings: ServeSettings) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)  # who comes while the model is warmed up waits
    except OSError as error:
        raise InputError(f"can't listen on {settings.host}, port {settings.port}: {error.strerror}") from error
    return listener


def configure(settings: ServeSettings, service: Service) -> uvicorn.Config:
    security, limits = settings.security, settings.limits
    return uvicorn.Config(
        make_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=security.behind_proxy,
        forwarded_allow_ips="127.0.0.1",
        ssl_certfile=security.tls_certificate,
        ssl_keyfile=security.tls_key,
        timeout_graceful_shutdown=round(limits.stop_seconds),
        timeout_keep_alive=5,
        http=guarded(limits),
        limit_concurrency=None,
        backlog=BACKLOG,
        ws_max_size=limits.max_bytes,
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
