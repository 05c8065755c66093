"""What Prometheus reads at /metrics; knows no request and no model."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters of one service; a registry of its own, so that two services in one process don't mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "sever_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )
        self.images = Counter(
            "sever_images", "Images answered, by where they came from.", ["source"], registry=self.registry
        )
        self.doubtful = Counter(
            "sever_doubtful_images",
            "Images that are likely not what is meant: turned by a tag, of several pages, or clipped.",
            ["reason"],
            registry=self.registry,
        )
        self.defects = Counter("sever_defects", "Defects found, by class.", ["class_name"], registry=self.registry)
        self.seconds = Histogram(
            "sever_answer_seconds", "From the request to its answer.", buckets=SECONDS, registry=self.registry
        )
        self.batch_seconds = Histogram(
            "sever_batch_seconds", "Time of a batch in the model.", buckets=SECONDS, registry=self.registry
        )
        self.batch_images = Histogram(
            "sever_batch_images", "Images of a batch.", buckets=(1, 2, 4, 8, 16, 32), registry=self.registry
        )
        self.shadow = Counter(
            "sever_shadow_images", "Images that a shadow model saw, by result.", ["result"], registry=self.registry
        )
        self.sent = Counter(
            "sever_sink_messages", "Messages to sinks, by sink and result.", ["sink", "result"], registry=self.registry
        )
        self.alarms = Counter("sever_alarms", "Alarms, by rule.", ["rule"], registry=self.registry)

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """A number that is asked for when Prometheus comes."""
        Gauge(name, meaning, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        return generate_latest(self.registry)
