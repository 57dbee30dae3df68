"""Every metric: its name, its type, its labels and what it means. The one home of these facts."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """What all samples of a name have in common."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


S = ("service",)
GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"

MANAGER = (
    Metric("pyroctl_build_info", GAUGE, "Always 1.", ("version", "python", "pyro5")),
    Metric("pyroctl_manager_start_time_seconds", GAUGE, "When the manager started."),
    Metric("pyroctl_manager_cpu_seconds_total", COUNTER, "Processor time of the manager."),
    Metric("pyroctl_manager_resident_memory_bytes", GAUGE, "Memory of the manager."),
    Metric("pyroctl_manager_open_fds", GAUGE, "Descriptors of the manager."),
    Metric("pyroctl_config_last_reload_successful", GAUGE, "Whether the last reload took effect."),
    Metric(
        "pyroctl_config_last_reload_success_timestamp_seconds",
        GAUGE,
        "When the configuration in effect was loaded.",
    ),
    Metric(
        "pyroctl_config_pending_changes",
        GAUGE,
        "Configuration files that have changed since they were loaded.",
    ),
    Metric("pyroctl_announcements_waiting", GAUGE, "Changes of state that wait for publication."),
    Metric("pyroctl_announcements_dropped_total", COUNTER, "Changes of state never published."),
)

SERVICE = (
    Metric("pyroctl_service_info", GAUGE, "Always 1.", ("service", "kind")),
    Metric("pyroctl_service_state", GAUGE, "1 for the state it is in.", ("service", "state")),
    Metric("pyroctl_service_enabled", GAUGE, "Whether it starts by default.", S),
    Metric("pyroctl_service_start_time_seconds", GAUGE, "When its process started.", S),
    Metric("pyroctl_service_ready_seconds", GAUGE, "From its last start until it was ready.", S),
    Metric("pyroctl_service_memory_limit_bytes", GAUGE, "Its max_rss.", S),
    Metric("pyroctl_service_restarts_total", COUNTER, "New processes.", ("service", "reason")),
    Metric("pyroctl_service_exits_total", COUNTER, "Ends of its process.", ("service", "how")),
    Metric("pyroctl_service_cpu_seconds_total", COUNTER, "Processor time of its session.", S),
    Metric("pyroctl_service_resident_memory_bytes", GAUGE, "Memory of its session.", S),
    Metric("pyroctl_service_processes", GAUGE, "Processes of its session.", S),
    Metric("pyroctl_service_open_fds", GAUGE, "Descriptors of its session.", S),
    Metric("pyroctl_service_threads", GAUGE, "Threads of its session.", S),
    Metric(
        "pyroctl_service_watchdog_duration_seconds", HISTOGRAM, "How long checks of it took.", S
    ),
    Metric("pyroctl_service_watchdog_failures_total", COUNTER, "Checks without an answer.", S),
    Metric("pyroctl_service_log_bytes_total", COUNTER, "Bytes of output.", ("service", "stream")),
    Metric("pyroctl_service_log_lines_total", COUNTER, "Lines of output.", ("service", "stream")),
    Metric(
        "pyroctl_service_log_unwritten_lines_total",
        COUNTER,
        "Lines of output that could not be written to its log.",
        ("service", "stream"),
    ),
)

EVENTS = (
    Metric("pyro_events_published_total", COUNTER, "Events that clients published.", S),
    Metric("pyro_events_delivered_total", COUNTER, "Events that subscribers took.", S),
    Metric("pyro_events_unmatched_total", COUNTER, "Events that nobody was subscribed to.", S),
    Metric("pyro_events_errors_total", COUNTER, "Exceptions in objects that were called.", S),
    Metric("pyro_events_retries_total", COUNTER, "Repeated attempts to reach such objects.", S),
    Metric(
        "pyro_events_dropped_total",
        COUNTER,
        "Events lost to subscribers: their queue was full, or they are gone.",
        ("service", "reason"),
    ),
    Metric(
        "pyro_events_refused_total", COUNTER, "Refusals because of a limit.", ("service", "limit")
    ),
    Metric("pyro_events_received_bytes_total", COUNTER, "Bytes from clients.", S),
    Metric("pyro_events_sent_bytes_total", COUNTER, "Bytes to clients.", S),
    Metric("pyro_events_queued", GAUGE, "Events that wait, or are not confirmed.", S),
    Metric("pyro_events_fullest_queue_ratio", GAUGE, "How full the fullest queue is, 0 to 1.", S),
    Metric("pyro_events_held_publishers", GAUGE, "Publishes that wait for a full queue.", S),
    Metric("pyro_events_connections", GAUGE, "Connections of clients.", S),
    Metric("pyro_events_subscribers", GAUGE, "Subscribers.", ("service", "aware")),
    Metric("pyro_events_subscriptions", GAUGE, "Subscriptions.", S),
    Metric("pyro_events_publishers", GAUGE, "Connected publishers that use a helper.", S),
    Metric(
        "pyro_events_delivery_duration_seconds",
        HISTOGRAM,
        "From the publish of an event until it was given to a socket.",
        S,
    ),
    Metric("pyro_events_handover_blackout_seconds", GAUGE, "Pause of the last handover to it.", S),
    Metric(
        "pyro_events_resubscribe_seconds",
        GAUGE,
        "How long the last restart by notification took, until aware subscribers were back.",
        S,
    ),
    Metric(
        "pyro_events_subject_published_total",
        COUNTER,
        "Events of the subjects that the page's metrics_labels name.",
        ("service", "subject"),
    ),
    Metric(
        "pyro_events_subscriber_queued",
        GAUGE,
        "Events that wait for a subscriber; on demand, and of those with most.",
        ("service", "subscriber"),
    ),
    Metric(
        "pyro_events_subscriber_dropped_total",
        COUNTER,
        "Events lost to a subscriber; on demand.",
        ("service", "subscriber"),
    ),
)

NAMES = (
    Metric("pyro_names_registered", GAUGE, "Names in the name server.", S),
    Metric("pyro_names_lookups_total", COUNTER, "Lookups of one name.", S),
    Metric("pyro_names_restored_total", COUNTER, "Names that the manager put back.", S),
)

WEB = (
    Metric(
        "pyroctl_web_requests_total",
        COUNTER,
        "Requests of browsers and programs.",
        ("method", "route", "code"),
    ),
    Metric("pyroctl_web_request_duration_seconds", HISTOGRAM, "How long they took.", ("route",)),
    Metric("pyroctl_web_streams", GAUGE, "Open streams of events."),
    Metric("pyroctl_web_rejected_requests_total", COUNTER, "Refused requests.", ("reason",)),
)
"""Of the page, which adds them to the others."""

CATALOGUE = {each.name: each for each in (*MANAGER, *SERVICE, *EVENTS, *NAMES, *WEB)}
