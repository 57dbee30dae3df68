"""The samples of a measurement: which number goes under which name. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.core.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyroctl.view.metrics.text import Sample

    Row = Mapping[str, Any]

MOST_SUBSCRIBERS = 50
"""With samples of their own, if they are asked for; those with the longest queues."""
EVENTS = {
    "published_total": "published",
    "delivered_total": "delivered",
    "unmatched_total": "unmatched",
    "errors_total": "errors",
    "retries_total": "retries",
    "received_bytes_total": "received_bytes",
    "sent_bytes_total": "sent_bytes",
    "queued": "queued",
    "fullest_queue_ratio": "fullest_queue",
    "held_publishers": "held",
    "connections": "connections",
    "subscriptions": "subscriptions",
    "publishers": "publishers",
    "delivery_duration_seconds": "delivery",
    "handover_blackout_seconds": "handover_seconds",
}
"""What statistics of an event service call the metrics of one label."""
SERVICE = {
    "start_time_seconds": "start_time",
    "ready_seconds": "ready_seconds",
    "memory_limit_bytes": "memory_limit_bytes",
    "cpu_seconds_total": "cpu_seconds",
    "resident_memory_bytes": "rss_bytes",
    "processes": "processes",
    "open_fds": "fds",
    "threads": "threads",
}
"""What a measurement calls them."""


def samples(
    measured: Row, pyro5: str, subscribers: Mapping[str, Sequence[Row]] | None = None
) -> Iterator[Sample]:
    """Yield the samples of an answer to `measure`.

    `subscribers` has the answers to `subscriptions` by service, if there are to be samples of them.
    """
    yield from _manager(measured["manager"], pyro5)
    for row in measured["services"]:
        yield from _service(row)
        name = row["name"]
        if row.get("es"):
            yield from _events(name, row["es"])
            yield "pyro_events_resubscribe_seconds", (name,), row.get("resubscribe_seconds")
        if names := row.get("names"):
            yield "pyro_names_registered", (name,), names.get("names")
            yield "pyro_names_lookups_total", (name,), names.get("lookups")
            yield "pyro_names_restored_total", (name,), names.get("restored")
    for name, rows in (subscribers or {}).items():
        yield from _subscribers(name, rows)


def _manager(row: Row, pyro5: str) -> Iterator[Sample]:
    yield "pyroctl_build_info", (row["version"], row["python"], pyro5), 1
    yield "pyroctl_manager_start_time_seconds", (), row["start_time"]
    yield "pyroctl_manager_cpu_seconds_total", (), row["cpu_seconds"]
    yield "pyroctl_manager_resident_memory_bytes", (), row["rss_bytes"]
    yield "pyroctl_manager_open_fds", (), row["fds"]
    yield "pyroctl_config_last_reload_successful", (), row["last_reload_successful"]
    timestamp = "pyroctl_config_last_reload_success_timestamp_seconds"
    yield timestamp, (), row["last_reload_time"]
    yield "pyroctl_config_pending_changes", (), row["pending_changes"]
    yield "pyroctl_announcements_waiting", (), row["announcements_waiting"]
    yield "pyroctl_announcements_dropped_total", (), row["announcements_dropped"]


def _service(row: Row) -> Iterator[Sample]:
    name = row["name"]
    yield "pyroctl_service_info", (name, row["kind"]), 1
    for state in State:
        yield "pyroctl_service_state", (name, str(state)), row["state"] == state
    yield "pyroctl_service_enabled", (name,), row["enabled"]
    for metric, key in SERVICE.items():
        yield f"pyroctl_service_{metric}", (name,), row[key]
    for reason, count in row["restarts"].items():
        yield "pyroctl_service_restarts_total", (name, reason), count
    for how, count in row["exits"].items():
        yield "pyroctl_service_exits_total", (name, how), count
    if (checks := row["watchdog"]) is not None:
        yield "pyroctl_service_watchdog_duration_seconds", (name,), checks
        yield "pyroctl_service_watchdog_failures_total", (name,), checks["failures"]
    for stream, counts in row["log"]["streams"].items():
        for key in ("bytes", "lines"):
            yield f"pyroctl_service_log_{key}_total", (name, stream), counts.get(key)
        unwritten = "pyroctl_service_log_unwritten_lines_total"
        yield unwritten, (name, stream), counts["unwritten"]


def _events(name: str, es: Row) -> Iterator[Sample]:
    for metric, key in EVENTS.items():
        yield f"pyro_events_{metric}", (name,), es.get(key)
    gone = es["dropped_unsent"]
    yield "pyro_events_dropped_total", (name, "full"), es["dropped"] - gone
    yield "pyro_events_dropped_total", (name, "gone"), gone
    for limit, count in es["refusals"].items():
        yield "pyro_events_refused_total", (name, limit), count
    yield "pyro_events_subscribers", (name, "true"), es["aware"]
    yield "pyro_events_subscribers", (name, "false"), es["subscribers"] - es["aware"]


def _subscribers(name: str, rows: Sequence[Row]) -> Iterator[Sample]:
    """Yield samples of helpers' streams by their names; the names of others are addresses."""
    streams = [row for row in rows if row["kind"] == "stream"]
    unique = {row["subscriber"]: row for row in sorted(streams, key=lambda row: row["queued"])}
    for subscriber, row in list(unique.items())[-MOST_SUBSCRIBERS:]:
        yield "pyro_events_subscriber_queued", (name, subscriber), row["queued"]
        yield "pyro_events_subscriber_dropped_total", (name, subscriber), row["dropped"]
