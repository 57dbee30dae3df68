"""The metrics: every name once and documented, in a format that Prometheus' own tools accept."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyroctl.core.counters import ServiceCounters
from pyroctl.view.metrics.catalogue import CATALOGUE, COUNTER, HISTOGRAM
from pyroctl.view.metrics.samples import EVENTS, samples
from pyroctl.view.metrics.text import render

SHIPPED = Path(__file__).parents[2] / "config" / "prometheus"
NAME = re.compile(r"\b(?:pyroctl|pyro_events|pyro_names)_[a-z_]+\b")


def measured() -> dict[str, Any]:
    counters = ServiceCounters()
    counters.checked(0.002, answered=True)
    es: dict[str, Any] = dict.fromkeys(EVENTS.values(), 7)
    es["delivery"] = {"bounds": [0.1, 1.0], "counts": [4, 2, 1], "sum": 3.5}
    es |= {"dropped": 9, "dropped_unsent": 2, "aware": 1, "subscribers": 3}
    es["refusals"] = {"rule": 4}
    row = {
        "name": "es", "kind": "eventservice", "enabled": True, "state": "running", "pid": 5,
        "start_time": 1.5, "memory_limit_bytes": 100, "processes": 1, "cpu_seconds": 0.25,
        "rss_bytes": 10, "fds": None, "threads": 2, **counters.plain(), "ready_seconds": 0.5,
        "log": {"streams": {"output": {"bytes": 3, "lines": 1, "unwritten": 0}}}, "es": es,
        "resubscribe_seconds": 0.25,
    }  # fmt: skip
    names = {**row, "name": "ns", "names": {"names": 3, "lookups": 4, "restored": 1}, "es": None}
    manager = {
        "version": "1", "python": "3", "start_time": 1.0, "cpu_seconds": 1.0, "rss_bytes": 1,
        "fds": 1, "last_reload_successful": False, "last_reload_time": 2.0, "pending_changes": 1,
        "announcements_waiting": 0, "announcements_dropped": 0,
    }  # fmt: skip
    return {"manager": manager, "services": [row, names]}


def subscribers() -> list[dict[str, Any]]:
    rows = [
        {"subscriber": f'n{n}"\\\n', "kind": "stream", "queued": n, "dropped": 1} for n in range(60)
    ]
    return [*rows, {"subscriber": "PYRO:x@h:1", "kind": "callback", "queued": 99, "dropped": 1}]


def text() -> str:
    return render(samples(measured(), "5.17", {"es": subscribers()}))


def test_prometheus_reads_every_metric_of_the_catalogue() -> None:
    """Names, types and labels are those of the catalogue; none but the page's are missing."""
    found = {}
    for family in text_string_to_metric_families(text()):
        name = family.name + ("_total" if family.type == COUNTER else "")
        metric = CATALOGUE[name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(metric.labels)
        found[name] = family
    missing = CATALOGUE.keys() - found
    assert missing == {
        *(name for name in CATALOGUE if name.startswith("pyroctl_web_")),
        "pyroctl_service_open_fds",  # another user's process
        "pyro_events_subject_published_total",  # the page's setting
    }


def test_values_arrive() -> None:
    """Histograms are cumulative, booleans are 0 or 1, hostile labels come out as they went in."""
    values = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text())
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return values[(name, *sorted(labels.items()))]

    delays = "pyro_events_delivery_duration_seconds"
    assert value(f"{delays}_bucket", service="es", le="1.0") == 6
    assert value(f"{delays}_bucket", service="es", le="+Inf") == 7
    assert (value(f"{delays}_count", service="es"), value(f"{delays}_sum", service="es")) == (
        7,
        3.5,
    )
    assert value("pyroctl_config_last_reload_successful") == 0
    assert value("pyroctl_service_state", service="es", state="running") == 1
    assert value("pyroctl_service_state", service="es", state="failed") == 0
    assert value("pyro_events_dropped_total", service="es", reason="full") == 7
    assert value("pyro_events_subscribers", service="es", aware="false") == 2
    assert value("pyro_events_subscriber_queued", service="es", subscriber='n59"\\\n') == 59
    listed = [key for key in values if key[0] == "pyro_events_subscriber_queued"]
    assert len(listed) == 50
    assert not any("PYRO:" in str(key) for key in values)


def test_what_is_shipped_names_only_metrics_that_exist() -> None:
    """Alert rules and dashboard are about names of the catalogue, and each panel has a query."""
    rules = (SHIPPED / "alerts.yml").read_text()
    board = json.loads((SHIPPED / "grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    known = set(CATALOGUE)
    for name, metric in CATALOGUE.items():
        if metric.kind == HISTOGRAM:
            known |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    used = set(NAME.findall(" ".join((*re.findall(r"expr: (.*)", rules), *queries))))
    assert used <= known, used - known
    assert len(used) > 20
    assert all(panel["targets"] for panel in board["panels"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_no_fault(tmp_path: Path) -> None:
    """Prometheus' own linter accepts the text, and the alert rules."""
    run = subprocess.run(
        ["promtool", "check", "metrics"], input=text(), text=True, capture_output=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    rules = ["promtool", "check", "rules", str(SHIPPED / "alerts.yml")]
    run = subprocess.run(rules, text=True, capture_output=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
