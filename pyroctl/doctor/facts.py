"""What is known of a deployment, its services and their host. Only values; None is "not known"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pyroctl.core.spec import Deployment, ServiceSpec

Row = "Mapping[str, Any]"


@dataclass(frozen=True, kw_only=True)
class ServiceFacts:
    """One service: its specification, and what its manager and the system tell of it."""

    spec: ServiceSpec
    row: Mapping[str, Any] = field(default_factory=dict)
    """Its row of `status`, with its history."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """Its row of `measure`."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """The variables of its process, or those it would get."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of Python and packages, as its interpreter finds them."""
    connects: frozenset[str] = frozenset()
    """The services to which its processes are connected now."""
    clients: int = 0
    """Connections to its port now."""
    log: tuple[str, ...] = ()
    """Its last lines of output."""
    buffered: bool | None = None
    """Whether its standard output is buffered in blocks: a Python program without -u."""
    subscribers: tuple[Mapping[str, Any], ...] = ()
    subjects: tuple[Mapping[str, Any], ...] = ()
    """Which are published now."""
    losses: tuple[Mapping[str, Any], ...] = ()
    """What its clients would lose by a restart, as `foresee` tells."""
    nofile: int | None = None
    """How many descriptors each of its processes may have."""


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """The machine."""

    name: str = "localhost"
    addresses: tuple[str, ...] = ("127.0.0.1",)
    """To which its own name resolves; empty: to none."""
    localhost: tuple[str, ...] = ("127.0.0.1",)
    """To which "localhost" resolves, in order."""
    port_range: tuple[int, int] = (32768, 60999)
    """From which the system takes ports at random."""
    lowest_free_port: int = 1024
    privileged: bool = False
    """Whether this user may bind the others."""
    nofile: int = 1 << 20
    memory: int = 1 << 40
    oom_kills: int = 0
    """Of this cgroup."""
    synchronized: bool | None = None
    """Whether the clock follows a time server."""
    clock_step: float = 0.0
    """Seconds by which the clock was set since the manager started."""
    first_process: str = "systemd"
    """The name of process 1."""
    unreaped: int = 0
    """Zombies whose parent is process 1."""
    grace: float | None = None
    """Seconds that the system gives the manager to stop."""
    systemd: bool = False


@dataclass(frozen=True, kw_only=True)
class PortFacts:
    """A fixed port of a service, and who has it."""

    service: str
    host: str
    port: int
    holder: str | None = None
    """Another program that listens there."""
    orphan: bool = False
    """Whether that is a process of this deployment that its manager doesn't know."""


@dataclass(frozen=True, kw_only=True)
class NameFacts:
    """A name in the deployment's name server."""

    name: str
    uri: str
    state: str = "answers"
    """What a call would meet: answers, closed, unknown (the object), refused, silent."""
    outside: bool = False
    """Whether it belongs to no service of the deployment."""


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """A file that other users should not read, or that expires."""

    path: str
    what: str
    service: str | None = None
    mode: int | None = None
    """None: it can't be read."""
    expires: datetime | None = None
    hosts: tuple[str, ...] = ()
    """For which a certificate is valid; empty: not known."""
    wanted: str | None = None
    """The host by which clients reach it."""
    writable: bool = True


@dataclass(frozen=True, kw_only=True)
class DiskFacts:
    """A file system with something of the deployment."""

    path: str
    free: int
    inodes: int = 1 << 20
    """Free ones; file systems without a limit count as many."""
    needed: int = 0
    """Bytes that logs may still grow."""
    rate: float = 0.0
    """Bytes of output per second, on average."""
    network: bool = False
    """Whether it is NFS or the like."""


@dataclass(frozen=True, kw_only=True)
class PlaceFacts:
    """Where the deployment keeps its sockets."""

    run: str = "/run"
    runtime_home: str | None = "/run/user/1000"
    socket: str = "/run/control.sock"
    wide_open: tuple[str, ...] = ()
    """Directories of ours that others may enter."""
    stale_socket: bool = False
    """Whether there is a socket and no manager."""
    others: tuple[str, ...] = ()
    """Other deployments that run with the same configuration or root."""
    installed: str = ""
    """The installed version, and `running` the manager's."""
    running: str | None = None
    unit: str | None = None
    """The unit's file, if systemd has one for the deployment."""
    unit_enabled: bool | None = None
    unit_current: bool | None = None
    """Whether it is what `unit systemd` would print now."""
    unit_notify: bool = True
    lingers: bool | None = None
    watchdog: float | None = None
    """Seconds of the unit's WatchdogSec."""


@dataclass(frozen=True, kw_only=True)
class PageFacts:
    """The page."""

    service: str
    host: str = "127.0.0.1"
    tls: bool = False
    token_mode: int | None = None
    extra: bool = True
    public_url: str | None = None
    public_answers: bool | None = None
    first_byte: float | None = None
    """Seconds until the first byte of the stream came through the proxy."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything."""

    now: datetime
    environ: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    config: str | None = None
    """The configuration's file."""
    deployment: Deployment | None = None
    """None: the configuration is not valid."""
    faults: tuple[Mapping[str, Any], ...] = ()
    """Errors of the configuration, as in the JSON envelope."""
    doubts: tuple[Mapping[str, Any], ...] = ()
    """What `config check` warns of."""
    pending: tuple[str, ...] = ()
    """What a reload would do."""
    manager: Mapping[str, Any] | None = None
    """Its part of a status; None: none runs."""
    manager_error: str | None = None
    """Why it can't be asked, if one runs."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of this command."""
    services: Mapping[str, ServiceFacts] = field(default_factory=dict)
    host: HostFacts = HostFacts()
    ports: tuple[PortFacts, ...] = ()
    name_server: str | None = None
    """Its HOST:PORT."""
    round_trip: float | None = None
    """Seconds for one call to it; None: no answer."""
    broadcasters: tuple[str, ...] = ()
    """Other name servers that answer a broadcast."""
    names: tuple[NameFacts, ...] = ()
    files: tuple[FileFacts, ...] = ()
    disks: tuple[DiskFacts, ...] = ()
    place: PlaceFacts = PlaceFacts()
    page: PageFacts | None = None
    unknown: tuple[str, ...] = ()
    """What could not be found out, and why."""
