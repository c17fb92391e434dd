"""Metrics of the gateway, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from instruct_mner.schema.records import Prediction

_OPENAI_PATHS = {"/v1/chat/completions", "/v1/completions", "/v1/models"}
_OWN_PATHS = {"/", "/v1/entities", "/health", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs"}
_MODEL_PATH = "/v1/models/{name}"
_LABEL_STUDIO_PATHS = {"/predict", "/setup", "/webhook"}
_PATHS = frozenset(_OPENAI_PATHS | _OWN_PATHS | _LABEL_STUDIO_PATHS)


def route_name(path: str) -> str:
    """Return a path, or ``other`` for one that there is not: what a client has made up is written nowhere."""
    if path.startswith("/v1/models/"):
        return _MODEL_PATH
    return path if path in _PATHS else "other"


class Counters:
    """Requests by path and status, their time, and what was found in posts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        name = "instruct_mner"
        self._requests = Counter(f"{name}_requests", "Requests answered.", ["path", "status"], registry=self._registry)
        self._seconds = Histogram(
            f"{name}_request_seconds", "Time until a request was answered.", ["path"], registry=self._registry
        )
        self._entities = Counter(f"{name}_entities", "Entities found.", ["model", "label"], registry=self._registry)
        self._rejected = Counter(
            f"{name}_rejected", "Items of answers that were no entity.", ["model"], registry=self._registry
        )

    def note_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request; paths that do not exist are one."""
        route = route_name(path)
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def note_prediction(self, model: str, prediction: Prediction, own_labels: frozenset[str]) -> None:
        """Count the entities of a post; labels that a client has made up are one."""
        for entity in prediction.entities:
            self._entities.labels(model, entity.label if entity.label in own_labels else "other").inc()
        self._rejected.labels(model).inc(prediction.rejected.total)

    def text(self) -> str:
        """Return all counts, as Prometheus reads them."""
        return generate_latest(self._registry).decode()
