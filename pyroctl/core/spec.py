"""What a deployment consists of: frozen values that the rest of the manager works on.

This is the one declaration of every key of the configuration: a field whose type has a `TypeName`
is a key, with the field's name, type and default. `core.keys` reads the declarations. The models
that check a file (`config.check`), the core values made from it and the command lines of our own
services (`kinds`) follow from them. All durations are in seconds, all sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - `core.keys` reads the types
from dataclasses import dataclass, field
from typing import Annotated

from pyroctl.core.alerts.spec import AlertsSpec  # noqa: TC001 - `core.keys` reads the types
from pyroctl.core.key_types import (
    NO_FLAG,
    Address,
    Autoclean,
    Clients,
    Command,
    Crash,
    Environment,
    ExitCodes,
    File,
    Filled,
    FixedPort,
    Host,
    HostOrPath,
    KillMode,
    Limits,
    Listen,
    Live,
    LogStreams,
    MessageSize,
    Mode,
    Names,
    Networks,
    Niceness,
    NotNegative,
    OnFailure,
    OnNeeds,
    OnRestart,
    OnUnhealthy,
    Orphans,
    Percent,
    Port,
    Positive,
    RestartPolicy,
    Rights,
    RingSize,
    Role,
    Seconds,
    SignalName,
    Span,
    Storage,
    SubjectPatterns,
    Truth,
    TypeName,
    Umask,
    Value,
    WhenFull,
)
from pyroctl.core.options.hosted import ObjectOptions
from pyroctl.core.options.page import WebOptions
from pyroctl.core.options.program import (
    CommandOptions,
    CommandReady,
    DelayReady,
    LogReady,
    NameReady,
    NotifyReady,
    PortReady,
    Program,
    Readiness,
    TaskOptions,
)
from pyroctl.core.options.tls import TlsOptions


@dataclass(frozen=True, slots=True)
class LogSpec:
    """How much of a service's output is kept."""

    max_bytes: Live[Positive] = 10_000_000
    keep: Live[NotNegative] = 5
    """Rotated files besides the current one."""
    max_age: Live[Seconds] = 0.0
    """Age of a file's first line after which the file is rotated. 0: never."""
    total_bytes: Live[Positive | None] = None
    """Limit for all files together; the oldest are removed. None: only `keep` limits them."""
    gzip: Live[Truth] = False
    """Whether rotated files are compressed."""
    stderr: LogStreams = "together"


@dataclass(frozen=True, slots=True)
class WatchdogSpec:
    """How a running service is checked for being alive."""

    every: Span = 2.0
    """Interval between checks."""
    timeout: Span = 2.0
    """Maximum duration of a check."""
    failures: Positive = 3
    """Consecutive failed checks after which the service is killed."""
    port: FixedPort | None = None
    """A port to connect to, instead of the check of the service's kind."""
    host: Host = "localhost"
    command: Command | None = None
    """A program that must exit with 0, instead of the check of the service's kind."""
    call: Filled | None = None
    """A method of the service's object to call, without arguments."""
    expect: Value | None = None
    """What the method must return. None: anything."""


@dataclass(frozen=True, slots=True)
class NameServerOptions(TlsOptions):
    """Kind `nameserver`: Pyro5's name server, hosted by `python -m pyro_names`."""

    host: Host = "localhost"
    port: Port = 9090
    """0 lets the system choose; the other services receive the port at their start."""
    storage: Storage = "memory"
    """`memory` or `sql:FILE`; FILE is relative to the configuration file's directory."""
    broadcast: Truth = False
    autoclean: Autoclean = 0.0
    """Interval between checks for dead registrations; 0 disables them."""


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """What some clients of an event service may publish, hear and ask for."""

    client: Clients
    """Names of certificates or secrets, `uid:N`, addresses, networks, or `anyone`."""
    publish: SubjectPatterns = ()
    subscribe: SubjectPatterns = ()
    may: Rights | None = None
    """None: all rights, but none for `anyone`."""


@dataclass(frozen=True, slots=True)
class EventServiceOptions(TlsOptions):
    """Kind `eventservice`: hosted by `python -m pyro_events`."""

    host: HostOrPath = "localhost"
    """Or a Unix socket, `./u:PATH`; PATH is relative to the configuration file's directory."""
    port: Port = 0
    socket_mode: Mode = "0600"
    """Permissions of the Unix socket, octal."""
    queue_size: Positive = 10_000
    """Events for one subscriber that may wait or be on their way."""
    queue_bytes: MessageSize | None = None
    """The same in bytes. None: 16 MiB or `max_message_size`, whichever is larger."""
    max_queued_bytes: MessageSize = 1 << 30
    """The same for all subscribers together."""
    when_full: WhenFull = "drop-oldest"
    patience: Seconds = 0.1
    """How long a publish waits for full queues if its client sets no patience."""
    stuck_timeout: Seconds = 5.0
    """A subscriber that takes nothing for so long holds no publisher, however patient."""
    max_message_size: MessageSize = 16 << 20
    max_connections: Positive = 10_000
    max_connections_per_peer: Positive = 8000
    """From one address."""
    max_subscribers: Positive = 8000
    max_subscriptions: Positive = 1000
    """Per subscriber."""
    callback_allow: Networks = ()
    """Addresses of subscribers that may be called, besides those that clients call from."""
    handshake_timeout: Span = 5.0
    trusted: Truth = False
    """Whether to accept marshal, with which a hostile client can crash the process."""
    tcp_only: Truth = False
    """Whether publishers on this machine use TCP, too, instead of a socket for them."""
    ident_file: File | None = None
    """A file with the identification that clients must present."""
    allow: Annotated[Live[tuple[RuleSpec, ...]], TypeName("Rules")] = ()
    """What each client may do; the first rule for it decides. Without rules: everything."""
    ns: Address | None = None
    """A name server outside the deployment. None: the deployment's own."""
    crash: Annotated[Crash, NO_FLAG] = "lose"
    """Whether events that were accepted outlive a process that is killed, in a ring in memory."""
    ring_bytes: Annotated[RingSize, NO_FLAG] = 16 << 20
    """The size of that ring; the oldest events are overwritten."""
    on_restart: Annotated[Live[OnRestart], NO_FLAG] = "notify"
    """Whether a restart notifies the subscribers or hands everything over to the new process."""


Options = (
    NameServerOptions
    | EventServiceOptions
    | ObjectOptions
    | CommandOptions
    | TaskOptions
    | WebOptions
)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service of a deployment, complete with all defaults."""

    name: str
    options: Options
    enabled: Live[Truth] = True
    needs: Live[Names] = ()
    on_needs: Live[OnNeeds] = "keep"
    """What happens to it when a service that it needs gets a new process, or fails."""
    on_failure: Live[OnFailure] = "keep"
    """Whether the whole deployment ends when this service has failed."""
    restart: Live[RestartPolicy] = "always"
    restart_delay: Live[Seconds] = 0.1
    """Delay before the first restart; it doubles with each further one."""
    restart_max_delay: Live[Seconds] = 30.0
    start_limit: Live[NotNegative] = 5
    """Maximum number of starts within `start_window`. 0: no limit."""
    start_window: Live[Span] = 60.0
    start_timeout: Live[Span] = 30.0
    stop_signal: Live[SignalName] = "TERM"
    stop_timeout: Live[Seconds] = 10.0
    kill_mode: Live[KillMode] = "mixed"
    """Whether the stop signal goes to the main process first, or to the whole session at once."""
    stop_command: Live[Command | None] = None
    """A program that asks a running service to end, before the stop signal does."""
    success_exit: Live[ExitCodes] = (0,)
    env: Environment = field(default_factory=dict)
    cwd: File | None = None
    user: Filled | None = None
    group: Filled | None = None
    umask: Umask | None = None
    nice: Niceness | None = None
    limits: Limits = field(default_factory=dict)
    """Resource limits by their lower-case names without RLIMIT_, such as `nofile`."""
    log: Annotated[LogSpec, TypeName("Log")] = LogSpec()
    watchdog: Annotated[Live[WatchdogSpec | None], TypeName("Watchdog")] = None
    """None: no check."""
    on_unhealthy: Live[OnUnhealthy] = "restart"
    """Whether a service restarts when its watchdog complains, or is only reported."""
    max_rss: Live[Positive | None] = None
    """Maximum memory of its processes together."""
    max_cpu: Live[Percent | None] = None
    """Maximum processor time of its processes together, in percent of one processor."""
    window: Live[Span] = 10.0
    """How long they must exceed one of these limits before the service is restarted."""
    instance: int | None = None
    """Its number among several instances, from 1; see `core.instances`."""
    written: Options | None = None
    """Its options with the placeholders of its own name and number, if there are any."""

    @property
    def kind(self) -> str:
        """The kind's name, as in the configuration."""
        return KIND_NAMES[type(self.options)]


KIND_NAMES: Mapping[type[Options], str] = {
    NameServerOptions: "nameserver",
    EventServiceOptions: "eventservice",
    ObjectOptions: "object",
    CommandOptions: "command",
    TaskOptions: "task",
    WebOptions: "web",
}


@dataclass(frozen=True, slots=True)
class AllowSpec:
    """What others may do with the manager; `core.access` has what a role permits."""

    role: Role
    users: Names = ()
    """Names or numbers."""
    groups: Names = ()
    clients: Names = ()
    """Names in certificates, with * for any text; for the listener of `[manager.remote]`."""


@dataclass(frozen=True, slots=True)
class RemoteSpec:
    """The listener for other hosts."""

    listen: Listen
    name: Filled | None = None
    """The name of its certificate in the site's directory. None: the host in `listen`."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything that one manager supervises."""

    name: Annotated[str, TypeName("Name")]
    services: Mapping[str, ServiceSpec]
    """By name, in the order of the configuration."""
    directory: str
    """The configuration file's directory; relative paths are relative to it."""
    file: str | None = None
    """The configuration file; None for the built-in deployment."""
    orphans: Orphans = "stop"
    """Whether the services end when the manager is killed, or the next manager adopts them."""
    strict: Live[Truth] = False
    """Whether it is an error that anybody on the network can use a service."""
    allow: Annotated[Live[tuple[AllowSpec, ...]], TypeName("Allow")] = ()
    """The users of the manager besides its own user and root."""
    remote: Annotated[Live[RemoteSpec | None], TypeName("Remote")] = None
    """None: other hosts can't connect."""
    alerts: AlertsSpec | None = None
    """`[alerts]`."""


def builtin_deployment(directory: str, *, page: bool = False) -> Deployment:
    """Return what runs without a file: a name server, an event service, and with `page` a page."""
    services = {
        "ns": ServiceSpec("ns", NameServerOptions()),
        "es": ServiceSpec("es", EventServiceOptions(), needs=("ns",), watchdog=WatchdogSpec()),
    }
    if page:
        services["web"] = ServiceSpec("web", WebOptions())
    return Deployment("default", services, directory)
