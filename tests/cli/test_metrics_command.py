"""`pyroctl metrics` with a real deployment: on stdout, and pushed to a collector."""

from __future__ import annotations

import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, ClassVar

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

PAIR = """
[services.ns]
kind = "nameserver"
port = 0
broadcast = false
[services.es]
kind = "eventservice"
port = 0
needs = ["ns"]
"""


def values(text: str) -> dict[str, float]:
    """Return the samples of the event service and of the manager."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("service", "es") == "es"
    }


def test_metrics_follow_what_happens(deployment: Deployment) -> None:
    """A publish that nobody hears, a handover and a changed file are in the numbers."""
    deployment.run("metrics", code=7)
    deployment.configure(PAIR)
    deployment.run("start")
    deployment.run("es", "publish", "lab.temperature", "20")
    before = values(deployment.run("metrics").stdout)
    assert before["pyro_events_published_total"] == before["pyro_events_unmatched_total"] == 1
    assert before["pyro_events_received_bytes_total"] > 100
    assert before["pyroctl_config_pending_changes"] == 0
    assert before["pyroctl_service_cpu_seconds_total"] > 0
    deployment.run("restart", "es", "--handover")
    deployment.configure(PAIR + "# changed\n")
    after = values(deployment.run("metrics", "--subscribers").stdout)
    assert after["pyro_events_published_total"] == 1
    assert 0 < after["pyro_events_handover_blackout_seconds"] < 20
    assert after["pyroctl_config_pending_changes"] == 1
    deployment.run("reload")
    assert values(deployment.run("metrics").stdout)["pyroctl_config_pending_changes"] == 0


class Collector(BaseHTTPRequestHandler):
    """Keeps what is pushed to it."""

    requests: ClassVar[list[ExportMetricsServiceRequest]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/metrics"
        self.requests.append(ExportMetricsServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_a_collector_gets_the_same_numbers(deployment: Deployment) -> None:
    """Each service is a resource; without a collector's address it is a usage error."""
    deployment.configure(PAIR)
    deployment.run("start")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in deployment.run("metrics", "--otlp", code=2).stderr
    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        deployment.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
        with deployment.popen("metrics", "--otlp", "--interval", "0.1") as push:
            eventually(lambda: len(Collector.requests) >= 2)
            push.send_signal(signal.SIGINT)
            push.communicate(timeout=20)
        assert push.returncode == 0
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    found = {}
    for resource in Collector.requests[-1].resource_metrics:
        about = {each.key: each.value.string_value for each in resource.resource.attributes}
        names = {metric.name for scope in resource.scope_metrics for metric in scope.metrics}
        found[about["service.name"]] = names
    assert found["ns"] == {
        "process.cpu.time", "process.memory.usage", "process.thread.count",
        "process.unix.file_descriptor.count", "process.uptime",
    }  # fmt: skip
    assert found["es"] > found["ns"] | {"pyro_events.published", "pyro_events.queued"}
