"""Pushes measurements to an OpenTelemetry collector; needs the extra `otel`.

The names are those of OpenTelemetry's conventions for processes, and of `view.metrics` without
their suffixes for the event service. Each service is a resource of its own.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from pyroctl.errors import PyroctlError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    Read = Callable[[], dict[str, Any]]
    Row = Mapping[str, Any]

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROCESS = (
    ("process.cpu.time", "s", "cpu_seconds", True),
    ("process.memory.usage", "By", "rss_bytes", False),
    ("process.thread.count", "{thread}", "threads", False),
    ("process.unix.file_descriptor.count", "{file_descriptor}", "fds", False),
)
"""Name, unit, key of the measurement, and whether it only grows."""
EVENTS = (
    ("pyro_events.published", "{event}", "published", True),
    ("pyro_events.delivered", "{event}", "delivered", True),
    ("pyro_events.dropped", "{event}", "dropped", True),
    ("pyro_events.unmatched", "{event}", "unmatched", True),
    ("pyro_events.queued", "{event}", "queued", False),
    ("pyro_events.connections", "{connection}", "connections", False),
    ("pyro_events.subscribers", "{subscriber}", "subscribers", False),
)


def push_until_interrupted(read: Read, interval: float, warn: Callable[[str], None]) -> None:
    """Push what `read` returns every `interval` seconds, until KeyboardInterrupt.

    Whatever fails is reported and tried again. Raises PyroctlError without the extra, UsageError
    without the address of a collector.
    """
    pusher = Pusher()
    try:
        while True:
            try:
                if not pusher.push(read()):
                    warn(f"the collector at {os.environ[ENDPOINT]} did not take the metrics")
            except PyroctlError as error:
                warn(error.message)
            time.sleep(interval)
    except KeyboardInterrupt:
        pass
    finally:
        pusher.close()


class Pusher:
    """Pushes measurements; one thread at a time may use it.

    Raises PyroctlError without the extra, UsageError without the address of a collector.
    """

    def __init__(self) -> None:
        if not os.environ.get(ENDPOINT):
            raise UsageError(
                "no collector is named", hint=f"set {ENDPOINT}, such as http://localhost:4318"
            )
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        except ImportError:
            raise PyroctlError(
                "OpenTelemetry is not installed", hint="pip install 'pyroctl[otel]'"
            ) from None
        self._exporter = OTLPMetricExporter()
        self._sources: dict[str, _Source] = {}

    def push(self, measured: Row) -> bool:
        """Push one measurement; return whether the collector has taken it."""
        from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData

        rows = {row["name"]: row for row in measured["services"]}
        for name in self._sources.keys() - rows:
            self._sources.pop(name).close()
        found = []
        for name, row in rows.items():
            source = self._sources.get(name)
            if source is None:
                source = self._sources[name] = _Source(measured["manager"]["deployment"], row)
            found += source.read(row, measured["time"])
        return self._exporter.export(MetricsData(found)) is MetricExportResult.SUCCESS

    def close(self) -> None:
        """End it."""
        for source in self._sources.values():
            source.close()
        self._exporter.shutdown()


class _Source:
    """The instruments of one service, which observe its latest row."""

    def __init__(self, deployment: str, row: Row) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.resources import Resource

        self._row = row
        self._time = 0.0
        self._reader: InMemoryMetricReader = InMemoryMetricReader()
        names = {"service.namespace": deployment, "service.name": row["name"]}
        self._provider = MeterProvider([self._reader], Resource(names), shutdown_on_exit=False)
        meter = self._provider.get_meter("pyroctl")
        for name, unit, key, grows in PROCESS:
            make = meter.create_observable_counter if grows else meter.create_observable_gauge
            make(name, [self._observe(None, key)], unit)
        meter.create_observable_gauge("process.uptime", [self._uptime], "s")
        if "es" in row:
            for name, unit, key, grows in EVENTS:
                make = meter.create_observable_counter if grows else meter.create_observable_gauge
                make(name, [self._observe("es", key)], unit)

    def read(self, row: Row, now: float) -> list[Any]:
        """Return the metrics of a row, as the SDK has them."""
        self._row, self._time = row, now
        data = self._reader.get_metrics_data()
        return [] if data is None else list(data.resource_metrics)

    def close(self) -> None:
        self._provider.shutdown()

    def _observe(
        self, part: str | None, key: str
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return self._observed((self._row if part is None else self._row[part] or {}).get(key))

        return observe

    def _uptime(self, _: CallbackOptions) -> Iterable[Observation]:
        started = self._row["start_time"]
        return self._observed(None if started is None else self._time - started)

    def _observed(self, value: float | None) -> list[Observation]:
        from opentelemetry.metrics import Observation

        return [] if value is None else [Observation(value)]
