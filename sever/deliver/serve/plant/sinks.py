"""Where messages go: webhooks and MQTT brokers; PLCs stand beside. Addresses and secrets come from settings alone."""

from __future__ import annotations

import hashlib
import hmac
import ssl
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

from sever.config.serve import MqttSettings, ServeSettings, WebhookSettings
from sever.deliver.serve.plant.fieldbus import modbus_sink, opcua_sink
from sever.deliver.serve.plant.outbox import Sink
from sever.errors import InputError

SIGNATURE = "X-Sever-Signature"


def make_sinks(settings: ServeSettings) -> list[Sink]:
    """Raises InputError for a secret that can't be read, and for one whose library is not installed."""
    webhooks = [_webhook(f"webhook-{number}", each) for number, each in enumerate(settings.webhooks, 1)]
    mqtt = [_mqtt(f"mqtt-{number}", each) for number, each in enumerate(settings.mqtt, 1)]
    modbus = [modbus_sink(f"modbus-{number}", each) for number, each in enumerate(settings.modbus, 1)]
    secrets = [(each, read_secret(each.password_file)) for each in settings.opcua]
    opcua = [opcua_sink(f"opcua-{number}", each, secret) for number, (each, secret) in enumerate(secrets, 1)]
    return [*webhooks, *mqtt, *modbus, *opcua]


def _webhook(name: str, settings: WebhookSettings) -> Sink:
    secret = read_secret(settings.secret_file)
    opener = urllib.request.build_opener(_NoRedirect)

    def deliver(topic: str, body: str) -> None:
        data = body.encode()
        headers = {"Content-Type": "application/json", "X-Sever-Topic": topic}
        if secret is not None:
            headers[SIGNATURE] = hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
        request = urllib.request.Request(settings.url, data, headers, method="POST")
        with opener.open(request, timeout=settings.timeout_seconds) as response:  # an HTTPError is an OSError
            response.read(1024)

    return Sink(name, settings.send, deliver)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A message goes where the settings say, and nowhere else."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _mqtt(name: str, settings: MqttSettings) -> Sink:
    if find_spec("paho") is None:
        raise InputError("MQTT needs paho-mqtt; pip install 'sever[plant]'")
    from paho.mqtt.client import MQTT_ERR_SUCCESS, Client
    from paho.mqtt.enums import CallbackAPIVersion

    password = read_secret(settings.password_file)

    def deliver(topic: str, body: str) -> None:
        """One connection a message: simple, and a broker that went away is noticed at once."""
        client = Client(CallbackAPIVersion.VERSION2)
        if settings.user is not None:
            client.username_pw_set(settings.user, password)
        if settings.tls:
            client.tls_set_context(ssl.create_default_context())
        client.connect_timeout = settings.timeout_seconds
        client.connect(settings.host, settings.port)
        client.loop_start()
        try:
            message = client.publish(f"{settings.topic}/{topic}", body, qos=1)
            if message.rc == MQTT_ERR_SUCCESS or client.is_connected():
                message.wait_for_publish(settings.timeout_seconds)
            if not message.is_published():
                raise OSError("the broker did not confirm the message")
        except RuntimeError as error:
            raise OSError(str(error)) from error
        finally:
            client.disconnect()
            client.loop_stop()

    return Sink(name, settings.send, deliver)


def read_secret(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"the secret in {path} can't be read: {error.strerror}") from error
