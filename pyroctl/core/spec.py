"""What a deployment consists of: frozen values that the rest of the manager works on.

`pyroctl.config` makes them out of TOML; nothing here knows about files. All durations are in
seconds, all sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

RestartPolicy = Literal["always", "on-failure", "never"]
LogStreams = Literal["together", "apart"]
WhenFull = Literal["block", "drop-oldest", "drop-newest", "disconnect"]
ServerType = Literal["thread", "multiplex"]
Serializer = Literal["serpent", "json", "msgpack", "marshal"]
OnRestart = Literal["notify", "handover"]
OnNeeds = Literal["keep", "restart", "stop"]
OnFailure = Literal["keep", "shutdown"]
Orphans = Literal["stop", "adopt"]


@dataclass(frozen=True, slots=True)
class LogSpec:
    """How much of a service's output is kept: `keep` rotated files besides the current one."""

    max_bytes: int = 10_000_000
    keep: int = 5
    max_age: float = 0.0
    """Seconds; a file whose first line is older is put aside, too. 0: whatever its age."""
    total_bytes: int | None = None
    """What all files together may take; the oldest go. None: `keep` alone bounds them."""
    gzip: bool = False
    """Whether files that were put aside are compressed."""
    stderr: LogStreams = "together"


@dataclass(frozen=True, slots=True)
class WatchdogSpec:
    """How a running service is asked whether it is still alive."""

    every: float = 2.0
    """Seconds from one question to the next."""
    timeout: float = 2.0
    """Seconds that an answer may take."""
    failures: int = 3
    """So many questions in a row without an answer, and the service is killed."""
    port: int | None = None
    """Where a TCP connection must succeed; instead of what its kind is asked by itself."""
    host: str = "localhost"
    command: tuple[str, ...] | None = None
    """What must exit with 0; the same."""


@dataclass(frozen=True, slots=True)
class NameServerOptions:
    """Kind `nameserver`: Pyro5's name server, hosted by `python -m pyro_names`."""

    host: str = "localhost"
    port: int = 9090
    """0 lets the system choose; the services of the deployment are told."""
    storage: str = "memory"
    """`memory`, or `sql:FILE`, FILE relative to the configuration file's directory."""
    broadcast: bool = False
    autoclean: float = 0.0
    """Seconds between checks for dead registrations; 0 never checks."""


@dataclass(frozen=True, slots=True)
class EventServiceOptions:
    """Kind `eventservice`: hosted by `python -m pyro_events`."""

    host: str = "localhost"
    """Or a Unix socket, `./u:PATH`, PATH relative to the configuration file's directory."""
    port: int = 0
    socket_mode: str = "0600"
    """Permissions of the Unix socket, octal."""
    queue_size: int = 1000
    """Events that may wait for one subscriber."""
    queue_bytes: int | None = None
    """The same in bytes; by default 16 MiB, or `max_message_size` if that is more."""
    when_full: WhenFull = "block"
    block_timeout: float = 5.0
    """Seconds that a publisher is held for a full queue before the event is dropped."""
    max_message_size: int = 16 << 20
    max_connections: int = 10_000
    max_connections_per_peer: int = 8000
    """From one address."""
    max_subscribers: int = 8000
    max_subscriptions: int = 1000
    """Of one subscriber."""
    handshake_timeout: float = 5.0
    """Seconds that a client may take to introduce itself."""
    trusted: bool = False
    """Whether clients may send marshal, with which a hostile one can crash the process."""
    ident_file: str | None = None
    """A file with the identification that clients must present; relative as above."""
    ns: str | None = None
    """`HOST:PORT` of a name server outside of the deployment; by default the deployment's own."""
    on_restart: OnRestart = "notify"
    """Whether a restart tells subscribers, who come back, or hands all over to the new process."""


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """Kind `object`: a Pyro class, hosted by `python -m pyro_host`. None is Pyro5's own setting."""

    object: str
    """`module:Class`, or `module:factory()` for the object that a call gives."""
    path: tuple[str, ...] = ()
    """Directories where modules are searched before the configuration's own."""
    pyro_name: str | None = None
    """Its name in the name server; None doesn't register it."""
    metadata: tuple[str, ...] = ()
    """What the name server keeps with the name."""
    host: str = "localhost"
    port: int = 0
    nathost: str | None = None
    """The address in its URI, for clients that can't use its own."""
    natport: int | None = None
    servertype: ServerType = "thread"
    threadpool: int = 200
    """Most clients at once, with a thread each."""
    serializer: Serializer | None = None
    """Of the proxies that the object itself makes; clients choose theirs."""
    max_message_size: int | None = None
    commtimeout: float | None = None
    """Seconds after which a silent client is hung up on; 0 is never."""
    ssl_servercert: str | None = None
    """A file; with it, clients must speak TLS."""
    ssl_serverkey: str | None = None
    ssl_cacerts: str | None = None
    ssl_requireclientcert: bool = False
    ssl_clientcert: str | None = None
    ssl_clientkey: str | None = None
    ns: str | None = None
    """`HOST:PORT` of a name server outside of the deployment; by default the deployment's own."""


@dataclass(frozen=True, slots=True)
class NotifyReady:
    """Ready when the service says READY=1 on NOTIFY_SOCKET."""


@dataclass(frozen=True, slots=True)
class DelayReady:
    """Ready when the service has lived for that many seconds."""

    seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class PortReady:
    """Ready when a TCP connection to that port succeeds."""

    port: int
    host: str = "localhost"


@dataclass(frozen=True, slots=True)
class LogReady:
    """Ready when a line of the service's output matches the regular expression (`re.search`)."""

    pattern: str


@dataclass(frozen=True, slots=True)
class NameReady:
    """Ready when that name is registered in the name server and its object answers."""

    pyro_name: str


@dataclass(frozen=True, slots=True)
class CommandReady:
    """Ready when that command exits with 0; it is run again `every` so many seconds after it ended.

    It runs as the service does: the same environment, directory, user and limits.
    """

    command: tuple[str, ...]
    every: float = 0.2


Readiness = NotifyReady | DelayReady | PortReady | LogReady | NameReady | CommandReady


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """Kind `command`: any program."""

    command: tuple[str, ...]
    ready: Readiness = DelayReady()


Options = NameServerOptions | EventServiceOptions | ObjectOptions | CommandOptions


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service of a deployment, complete with all defaults."""

    name: str
    options: Options
    enabled: bool = True
    needs: tuple[str, ...] = ()
    on_needs: OnNeeds = "keep"
    """What becomes of it when one of them gets a fresh process, or fails."""
    on_failure: OnFailure = "keep"
    """Whether the whole deployment ends when this service has failed."""
    restart: RestartPolicy = "always"
    restart_delay: float = 0.1
    """Seconds before the first restart; doubles with every further one."""
    restart_max_delay: float = 30.0
    start_limit: int = 5
    start_window: float = 60.0
    """At most `start_limit` starts within any `start_window` seconds."""
    start_timeout: float = 30.0
    stop_signal: str = "TERM"
    stop_timeout: float = 10.0
    success_exit: tuple[int, ...] = (0,)
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    user: str | None = None
    group: str | None = None
    umask: int | None = None
    nice: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    """Resource limits by their lower-case name without RLIMIT_, such as `nofile`."""
    log: LogSpec = LogSpec()
    watchdog: WatchdogSpec | None = None
    """None: nobody asks whether it hangs."""
    max_rss: int | None = None
    """Bytes of memory that its processes may take together."""
    max_cpu: float | None = None
    """Percent of one processor that they may take."""
    window: float = 10.0
    """Seconds for which they must take more than that to be restarted."""
    instance: int | None = None
    """Which of several instances this is, from 1; see `core.instances`."""

    @property
    def kind(self) -> str:
        """The kind's name, as in the configuration."""
        return KIND_NAMES[type(self.options)]


def registers_here(options: Options) -> bool:
    """Tell whether the service has a name in the deployment's own name server, and keeps it up."""
    match options:
        case EventServiceOptions(ns=ns):
            return ns is None
        case ObjectOptions(pyro_name=name, ns=ns):
            return name is not None and ns is None
    return False


KIND_NAMES: Mapping[type[Options], str] = {
    NameServerOptions: "nameserver",
    EventServiceOptions: "eventservice",
    ObjectOptions: "object",
    CommandOptions: "command",
}


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything that one manager supervises."""

    name: str
    services: Mapping[str, ServiceSpec]
    """By name, in the order of the configuration."""
    directory: str
    """Where relative paths start: the configuration file's directory."""
    file: str | None = None
    """The configuration file; None for the built-in deployment."""
    orphans: Orphans = "stop"
    """What becomes of the services when the manager is killed: they end, or the next one has them.
    """


def builtin_deployment(directory: str) -> Deployment:
    """Give what runs when there is no configuration: a name server and an event service."""
    ns = ServiceSpec("ns", NameServerOptions())
    es = ServiceSpec("es", EventServiceOptions(), needs=("ns",), watchdog=WatchdogSpec())
    return Deployment("default", {"ns": ns, "es": es}, directory)
