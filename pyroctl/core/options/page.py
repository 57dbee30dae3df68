"""The keys of a page, kind `web`; see `core.spec`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pyroctl.core.key_types import (
    File,
    Filled,
    History,
    Host,
    Metrics,
    Port,
    Role,
    Roles,
    SubjectTemplates,
    TypeName,
    WebHosts,
    WebUrl,
)


@dataclass(frozen=True, slots=True)
class WebTlsSpec:
    """TLS of a page."""

    cert: File
    key: File


@dataclass(frozen=True, slots=True)
class ProxySpec:
    """A proxy that has asked the users who they are."""

    user_header: Filled
    """The header in which it names the user; it must remove that of clients."""
    roles: Roles
    """The role of each user; others are refused."""


@dataclass(frozen=True, slots=True)
class MetricsLabelsSpec:
    """What becomes a label of a metric."""

    subjects: SubjectTemplates = ()
    """Regular expressions; a subject that none matches is counted as "other"."""


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Kind `web`: the page, hosted by `python -m pyroctl.web`."""

    host: Host = "127.0.0.1"
    port: Port | None = None
    """None: 8787, or any free port if that is taken."""
    socket: File | None = None
    """A Unix socket instead of a port."""
    access: Role = "operate"
    """The highest role of the page; the manager refuses everything above."""
    hosts: WebHosts = ()
    """Further names by which browsers may know the page."""
    public_url: WebUrl | None = None
    """Where browsers find the page behind a proxy."""
    proxy: Annotated[ProxySpec | None, TypeName("Proxy")] = None
    tls: Annotated[WebTlsSpec | None, TypeName("WebTls")] = None
    metrics: Metrics = "loopback"
    """Which clients may read /metrics and /readyz: none, all, or those with the token."""
    metrics_labels: Annotated[MetricsLabelsSpec, TypeName("MetricsLabels")] = MetricsLabelsSpec()
    history: History = "7d"
