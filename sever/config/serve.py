"""Settings of `sever serve`: where it listens, how much it takes on, what it keeps; knows not how that is done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from sever.config.base import PathText, Settings
from sever.config.data import MAX_PIXELS

MIB = 1 << 20


class LimitSettings(Settings):
    """What one request may bring, and how much may wait at once. What is above is refused, and nothing grows."""

    max_bytes: int = Field(32 * MIB, ge=1024, description="Largest request in bytes (413).")
    max_pixels: int = Field(MAX_PIXELS, ge=1, description="Largest image in pixels, by its header (413).")
    max_images: int = Field(64, ge=1, description="Images in one request at most (413).")
    max_waiting: int = Field(
        64, ge=1, description="Images that are being read, wait, or are worked on; above it: 429 with Retry-After."
    )
    max_waiting_pixels: int = Field(
        4 * MAX_PIXELS, ge=1, description="The same in pixels of all decoded images that wait."
    )
    deadline_seconds: float = Field(
        30.0, gt=0, description="A request that waits longer than this gets 503; a request may ask for less."
    )
    body_seconds: float = Field(
        20.0, gt=0, description="How long a client may take to send its request's head, and its body (408)."
    )
    max_connections: int = Field(500, ge=1, description="Connections at once; one above it is closed at once.")
    stop_seconds: float = Field(60.0, gt=0, description="How long a stop waits for what was accepted.")


class BatchSettings(Settings):
    """Images that wait at the same time go through the network together."""

    max_images: int = Field(8, ge=1, description="Images in one batch at most.")
    wait_ms: float = Field(
        0.0, ge=0, description="How long a batch that is not full waits for more images, in milliseconds."
    )


class SecuritySettings(Settings):
    """Who may come in, from where, and how often. Roles and what they may do: docs/security.md."""

    hosts: tuple[str, ...] = Field(
        (),
        description="Names under which it is reached, beside localhost and its address; others are refused.",
    )
    tls_certificate: Path | None = Field(None, description="PEM file of the certificate (with its chain), for HTTPS.")
    tls_key: Path | None = Field(None, description="PEM file of the certificate's key.")
    behind_proxy: bool = Field(
        False, description="A proxy on this machine does TLS: its X-Forwarded headers are believed, cookies need HTTPS."
    )
    session_hours: float = Field(12.0, gt=0, description="How long a session lasts after signing in, in hours.")
    requests_per_second: float = Field(200.0, gt=0, description="Requests that one user, key or address may make.")
    requests_at_once: int = Field(400, ge=1, description="How many of them may come at once before that pace holds.")
    logins_per_minute: float = Field(6.0, gt=0, description="Tries to sign in, for each address and each name.")
    open_metrics: bool = Field(False, description="Whether /metrics is read without a key.")


class RetentionSettings(Settings):
    """How long things are kept; null keeps them for good. Corrected answers and the trail are always kept."""

    image_days: float | None = Field(None, gt=0, description="Days after which an image without a correction goes.")
    clean_image_days: float | None = Field(None, gt=0, description="The same for images without a defect.")
    answer_days: float | None = Field(None, gt=0, description="Days after which an answer without a correction goes.")


class StripSettings(Settings):
    """How images lie on the strip: what makes pixels metres."""

    along: Literal["width", "height"] = Field("width", description="The side of an image that runs along the strip.")
    mm_per_pixel_along: float = Field(1.0, gt=0, description="Millimetres of strip in one pixel along it.")
    mm_per_pixel_across: float = Field(1.0, gt=0, description="The same across it.")


class WatchSettings(Settings):
    """A folder whose new images are inspected, or one file that a camera writes again and again."""

    path: Path = Field(description="The folder (with those below it), or the camera's file.")
    name_pattern: str | None = Field(
        None,
        description="Regular expression for a file's path below the folder; its groups `coil`, `position_m` and "
        r"`across_m` say where the image lies, as (?P<coil>\w+)_(?P<position_m>[\d.]+)\.png.",
    )
    poll_seconds: float = Field(0.5, gt=0, description="How often to look, in seconds.")
    settle_seconds: float = Field(
        1.0, ge=0, description="A file is read when it has not changed for so long, so never while it is being written."
    )
    after: Literal["keep", "delete"] = Field("keep", description="What becomes of a file that was answered.")

    @field_validator("name_pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        try:
            groups = set(re.compile(pattern or "").groupindex)
        except re.error as error:
            raise ValueError(f"this is not a regular expression: {error}") from error
        if unknown := groups - {"coil", "position_m", "across_m"}:
            raise ValueError(f"the group {min(unknown)} is unknown; choose one of coil, position_m and across_m")
        return pattern


class WebhookSettings(Settings):
    """Answers and alarms go to another system by HTTP POST."""

    url: str = Field(pattern=r"^https?://", description="Where to.")
    secret_file: Path | None = Field(
        None, description="File with a secret; requests are then signed: X-Sever-Signature is HMAC-SHA256 of the body."
    )
    send: Literal["all", "defects", "alarms"] = Field("defects", description="Which answers; alarms always go.")
    timeout_seconds: float = Field(10.0, gt=0, description="How long one try may take.")


class MqttSettings(Settings):
    """Answers and alarms go to an MQTT broker, with quality of service 1; needs sever[plant]."""

    host: str = Field(description="The broker.")
    port: int = Field(1883, ge=1, le=65535, description="Its port.")
    topic: str = Field("sever", min_length=1, description="Messages go to TOPIC/answers and TOPIC/alarms.")
    user: str | None = Field(None, description="Name to sign in with.")
    password_file: Path | None = Field(None, description="File with the password.")
    tls: bool = Field(False, description="Whether to use TLS, with the certificates of this system.")
    send: Literal["all", "defects", "alarms"] = Field("defects", description="Which answers; alarms always go.")
    timeout_seconds: float = Field(10.0, gt=0, description="How long one try may take.")


class ModbusSettings(Settings):
    """A coil (one bit) of a PLC is set by Modbus TCP when there is news, for a lamp, a horn or a marker; needs
    sever[plant]. Whoever sees it resets it."""

    host: str = Field(description="The PLC.")
    port: int = Field(502, ge=1, le=65535, description="Its port.")
    device: int = Field(1, ge=0, le=255, description="Number of the device (unit) behind it.")
    coil: int = Field(ge=0, le=65535, description="Address of the coil, counted from 0.")
    pulse_seconds: float | None = Field(
        None, gt=0, description="Reset the coil again after so long; null leaves that to the PLC."
    )
    send: Literal["all", "defects", "alarms"] = Field(
        "alarms", description="What sets it: also every answer, or those with defects; alarms always do."
    )
    timeout_seconds: float = Field(5.0, gt=0, description="How long one try may take.")


class OpcUaSettings(Settings):
    """Answers and alarms are written to variables of an OPC UA server, each as JSON in a string; needs sever[plant]."""

    url: str = Field(pattern=r"^opc\.tcp://", description="The server.")
    answers_node: str | None = Field(None, description="Node id of the string for answers, as ns=2;s=sever.answer.")
    alarms_node: str | None = Field(None, description="Node id of the string for alarms.")
    user: str | None = Field(None, description="Name to sign in with.")
    password_file: Path | None = Field(None, description="File with the password.")
    send: Literal["all", "defects", "alarms"] = Field("defects", description="Which answers; alarms always go.")
    timeout_seconds: float = Field(10.0, gt=0, description="How long one try may take.")

    @model_validator(mode="after")
    def _goes_somewhere(self) -> OpcUaSettings:
        if self.answers_node is None and self.alarms_node is None:
            raise ValueError("give answers_node, alarms_node, or both: which variables are written")
        return self


class RollSettings(Settings):
    """A roll that the strip passes, known by its circumference."""

    name: str = Field(description="What people call it.")
    circumference_m: float = Field(gt=0, description="Its circumference in metres, as it shows on this strip.")


class AlarmSettings(Settings):
    """When to raise an alarm."""

    name: str = Field(min_length=1, max_length=100, description="What people call it.")
    kind: Literal["count", "share", "periodic"] = Field(
        description="`count`: so many defects within so many metres of a coil; `share`: of one image's area; "
        "`periodic`: marks of one spacing at one place across, which is the circumference of the roll that makes them."
    )
    class_name: str | None = Field(None, description="The class; null counts all of them.")
    defects: int = Field(5, ge=1, description="`count`: number of defects. `periodic`: marks in a row, at least 3.")
    metres: float = Field(10.0, gt=0, description="`count`: length of strip. `periodic`: the largest spacing.")
    share: float = Field(0.05, gt=0, le=1, description="`share`: part of the image's area.")
    tolerance_m: float = Field(0.02, gt=0, description="`periodic`: how far a mark may lie off, along and across.")
    rolls: tuple[RollSettings, ...] = Field((), description="`periodic`: known rolls, to name the one that marks.")


class ServeSettings(Settings):
    """`sever serve` reads these from the YAML of its option --config; its other options win over them."""

    host: str = Field("127.0.0.1", description="Address to listen on; the default is reached from this machine only.")
    port: int = Field(8350, ge=0, le=65535, description="Port to listen on; 0 takes a free one, which is printed.")
    models: Path | None = Field(
        None,
        description="Folder whose bundles (*.sever) can be put in service, including those added while it runs.",
    )
    store: Path = Field(Path("serve"), description="Folder of the images and of the embedded database.")
    images: PathText | None = Field(
        None,
        description="Where the original images are kept: a folder, or an address of fsspec as s3://BUCKET/sever (needs "
        "sever[stores] and the package of that kind of store); null: in the store's folder.",
    )
    database: PathText | None = Field(
        None, description="sqlite:///FILE or postgresql://USER@HOST/NAME; null: SQLite in the store's folder."
    )
    durable: bool = Field(
        True,
        description="Whether an answer is on the disk before it is given, so that it survives a power cut.",
    )
    limits: LimitSettings = Field(LimitSettings(), description="What is taken on at once.")
    batch: BatchSettings = Field(BatchSettings(), description="How images are put together for the network.")
    security: SecuritySettings = Field(SecuritySettings(), description="Who may come in.")
    strip: StripSettings = Field(StripSettings(), description="How images lie on the strip.")
    watch: tuple[WatchSettings, ...] = Field((), description="Folders and cameras' files to inspect.")
    webhooks: tuple[WebhookSettings, ...] = Field((), description="Systems to notify by HTTP.")
    mqtt: tuple[MqttSettings, ...] = Field((), description="Brokers to notify by MQTT.")
    modbus: tuple[ModbusSettings, ...] = Field((), description="Coils of PLCs that are set by Modbus TCP.")
    opcua: tuple[OpcUaSettings, ...] = Field((), description="OPC UA servers whose variables are written.")
    alarms: tuple[AlarmSettings, ...] = Field((), description="When to raise an alarm.")
    retention: RetentionSettings = Field(RetentionSettings(), description="How long things are kept.")
