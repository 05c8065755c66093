"""Settings of `sever serve`: where it listens, how much it takes on, what it keeps; knows not how that is done."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sever.config.base import Settings
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
    body_seconds: float = Field(20.0, gt=0, description="How long a client may take to send its request (408).")
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


class ServeSettings(Settings):
    """`sever serve` reads these from the YAML of its option --config; its other options win over them."""

    host: str = Field("127.0.0.1", description="Address to listen on; the default is reached from this machine only.")
    port: int = Field(8350, ge=0, le=65535, description="Port to listen on; 0 takes a free one, which is printed.")
    store: Path = Field(Path("serve"), description="Folder of the images and of the embedded database.")
    database: str | None = Field(
        None, description="sqlite:///FILE or postgresql://USER@HOST/NAME; null: SQLite in the store's folder."
    )
    durable: bool = Field(
        True,
        description="Whether an answer is on the disk before it is given, so that it outlives a power cut, too.",
    )
    limits: LimitSettings = Field(LimitSettings(), description="What is taken on at once.")
    batch: BatchSettings = Field(BatchSettings(), description="How images are put together for the network.")
    security: SecuritySettings = Field(SecuritySettings(), description="Who may come in.")
    retention: RetentionSettings = Field(RetentionSettings(), description="How long things are kept.")
