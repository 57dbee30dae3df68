"""What may stand in the configuration: one model for each table, one for each kind of service.

The models only say what is allowed. What is not written in the file has the default of the core
value, which is the only place that knows it.
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pyroctl.config.check import types
from pyroctl.config.check.types import refuse
from pyroctl.core.spec import (
    CommandReady,
    DelayReady,
    EventServiceOptions,
    LogSpec,
    NameServerOptions,
    ObjectOptions,
    PortReady,
    ServiceSpec,
    WatchdogSpec,
)

_SERVICE = ServiceSpec("", NameServerOptions())
_NAMESERVER = NameServerOptions()
_EVENTSERVICE = EventServiceOptions()
_OBJECT = ObjectOptions("")
_LOG = LogSpec()
_WATCHDOG = WatchdogSpec()


class Table(BaseModel):
    """A table of the configuration: strict, and without unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class Top(Table):
    """The keys that stand outside of every table."""

    include: types.Files = []


class Manager(Table):
    """`[manager]`."""

    name: types.Name = "default"
    orphans: types.OrphansPolicy = "stop"


class Log(Table):
    """`log` of a service."""

    max_bytes: types.Positive = _LOG.max_bytes
    keep: types.NotNegative = _LOG.keep
    max_age: types.Seconds = _LOG.max_age
    total_bytes: types.Positive | None = None
    gzip: types.Truth = _LOG.gzip
    stderr: types.Streams = _LOG.stderr

    @field_validator("total_bytes")
    @classmethod
    def _holds_one_file(cls, value: int | None, info: ValidationInfo) -> int | None:
        largest = info.data.get("max_bytes", 0)
        if value is not None and value < largest:
            raise refuse(f"must be at least max_bytes, which is {largest}, got {value}")
        return value


class Watchdog(Table):
    """`watchdog` of a service, when it is a table."""

    every: types.Span = _WATCHDOG.every
    timeout: types.Span = _WATCHDOG.timeout
    failures: types.Positive = _WATCHDOG.failures
    port: types.FixedPort | None = None
    host: types.Host = _WATCHDOG.host
    command: types.Command | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.port is not None and self.command is not None:
            raise refuse("expected port or command, got both")
        if "host" in self.model_fields_set and self.port is None:
            raise refuse("host goes with port")
        return self


class Ready(Table):
    """`ready` of a command, when it is a table: exactly one of the forms."""

    delay: types.Seconds | None = None
    port: types.FixedPort | None = None
    host: types.Host = PortReady(0).host
    log: types.Regex | None = None
    pyro_name: types.Filled | None = None
    command: types.Command | None = None
    every: types.Span = CommandReady(()).every

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = [key for key in READY_FORMS if key in self.model_fields_set]
        if len(forms) != 1:
            found = " and ".join(forms) if forms else "nothing"
            raise refuse(f"expected one of {', '.join(READY_FORMS)}, got {found}")
        if "host" in self.model_fields_set and forms != ["port"]:
            raise refuse(f"host goes with port, not with {forms[0]}")
        if "every" in self.model_fields_set and forms != ["command"]:
            raise refuse(f"every goes with command, not with {forms[0]}")
        return self


PARTNERS = {
    "metadata": "pyro_name",
    "natport": "nathost",
    "ssl_serverkey": "ssl_servercert",
    "ssl_cacerts": "ssl_servercert",
    "ssl_requireclientcert": "ssl_servercert",
    "ssl_clientcert": "ssl_servercert",
    "ssl_clientkey": "ssl_clientcert",
}
"""Keys of an object, each with the one without which it means nothing."""

READY_FORMS = ("delay", "port", "log", "pyro_name", "command")


class Service(Table):
    """The keys that every kind of service has."""

    kind: types.Text
    enabled: types.Truth = _SERVICE.enabled
    needs: types.Names = []
    on_needs: types.NeedsPolicy = _SERVICE.on_needs
    on_failure: types.FailurePolicy = _SERVICE.on_failure
    restart: types.Restart = _SERVICE.restart
    restart_delay: types.Seconds = _SERVICE.restart_delay
    restart_max_delay: types.Seconds = Field(_SERVICE.restart_max_delay, validate_default=True)
    start_limit: types.Positive = _SERVICE.start_limit
    start_window: types.Span = _SERVICE.start_window
    start_timeout: types.Span = _SERVICE.start_timeout
    stop_signal: types.SignalName = _SERVICE.stop_signal
    stop_timeout: types.Seconds = _SERVICE.stop_timeout
    success_exit: types.ExitCodes = list(_SERVICE.success_exit)
    env: types.Environment = {}
    env_file: types.Files = []
    cwd: types.Filled | None = None
    user: types.Filled | None = None
    group: types.Filled | None = None
    umask: types.Umask | None = None
    nice: types.Niceness | None = None
    limits: types.Limits = {}
    log: Log = Log()
    watchdog: Annotated[Watchdog | None, types.Words("false or table")] = None
    """None is what was left out or false: `model_fields_set` tells which."""
    max_rss: types.Positive | None = None
    max_cpu: types.Percent | None = None
    window: types.Span = _SERVICE.window

    @field_validator("watchdog", mode="before")
    @classmethod
    def _off_or_table(cls, value: Any) -> Any:
        if value is False:
            return None
        if isinstance(value, dict | Watchdog):
            return value
        raise refuse(
            f"expected false or a table, got {types.show(value)}",
            "such as { every = 2, timeout = 2, failures = 3 }",
        )

    @field_validator("restart_max_delay")
    @classmethod
    def _not_below_restart_delay(cls, value: float, info: ValidationInfo) -> float:
        delay = info.data.get("restart_delay", 0)
        if value < delay:
            raise refuse(f"must be at least restart_delay, which is {delay:g}, got {value:g}")
        return value


class NameServer(Service):
    """Kind `nameserver`."""

    host: types.Host = _NAMESERVER.host
    port: types.Port = _NAMESERVER.port
    storage: types.Storage = _NAMESERVER.storage
    broadcast: types.Truth = _NAMESERVER.broadcast
    autoclean: types.Autoclean = _NAMESERVER.autoclean


class EventService(Service):
    """Kind `eventservice`."""

    host: types.HostOrPath = _EVENTSERVICE.host
    port: types.Port = _EVENTSERVICE.port
    socket_mode: types.Mode = _EVENTSERVICE.socket_mode
    queue_size: types.Positive = _EVENTSERVICE.queue_size
    queue_bytes: types.MessageSize | None = None
    when_full: types.Full = _EVENTSERVICE.when_full
    block_timeout: types.Seconds = _EVENTSERVICE.block_timeout
    max_message_size: types.MessageSize = _EVENTSERVICE.max_message_size
    max_connections: types.Positive = _EVENTSERVICE.max_connections
    max_connections_per_peer: types.Positive = _EVENTSERVICE.max_connections_per_peer
    max_subscribers: types.Positive = _EVENTSERVICE.max_subscribers
    max_subscriptions: types.Positive = _EVENTSERVICE.max_subscriptions
    handshake_timeout: types.Span = _EVENTSERVICE.handshake_timeout
    trusted: types.Truth = _EVENTSERVICE.trusted
    ident_file: types.Filled | None = None
    ns: types.Address | None = None
    on_restart: types.Restarting = _EVENTSERVICE.on_restart

    @field_validator("port")
    @classmethod
    def _none_for_a_unix_socket(cls, value: int, info: ValidationInfo) -> int:
        if value and info.data.get("host", "").startswith(types.UNIX):
            raise refuse("a Unix socket has no port", "leave port out")
        return value


class PyroObject(Service):
    """Kind `object`."""

    object: types.Object
    path: types.Files = []
    pyro_name: types.Filled | None = None
    metadata: types.Names = []
    host: types.Host = _OBJECT.host
    port: types.Port = _OBJECT.port
    nathost: types.Host | None = None
    natport: types.FixedPort | None = None
    servertype: types.ServerKind = _OBJECT.servertype
    threadpool: types.Positive = _OBJECT.threadpool
    serializer: types.SerializerName | None = None
    max_message_size: types.MessageSize | None = None
    commtimeout: types.Seconds | None = None
    ssl_servercert: types.Filled | None = None
    ssl_serverkey: types.Filled | None = None
    ssl_cacerts: types.Filled | None = None
    ssl_requireclientcert: types.Truth = _OBJECT.ssl_requireclientcert
    ssl_clientcert: types.Filled | None = None
    ssl_clientkey: types.Filled | None = None
    ns: types.Address | None = None
    instances: types.Instances | None = None

    @field_validator(*PARTNERS)
    @classmethod
    def _not_without(cls, value: Any, info: ValidationInfo) -> Any:
        partner = PARTNERS[str(info.field_name)]
        if value and partner in info.data and info.data[partner] is None:
            raise refuse(f"goes with {partner}, which is not given")
        return value

    @field_validator("instances")
    @classmethod
    def _a_port_for_each(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and value > 1 and info.data.get("port"):
            raise refuse(f"{value} instances can't listen on one port", "leave port out")
        return value


class Command(Service):
    """Kind `command`."""

    command: types.Command
    ready: Annotated[Ready | None, types.Words('"notify" or table')] = Ready(
        delay=DelayReady().seconds
    )
    """None is "notify"."""
    instances: types.Instances | None = None

    @field_validator("ready", mode="before")
    @classmethod
    def _word_or_table(cls, value: Any) -> Any:
        if value == "notify":
            return None
        if isinstance(value, dict | Ready):
            return value
        forms = ", ".join(f"{{ {form} = … }}" for form in READY_FORMS)
        raise refuse(f'expected "notify" or a table, got {types.show(value)}', f"forms: {forms}")


KINDS: dict[str, type[Service]] = {
    "nameserver": NameServer,
    "eventservice": EventService,
    "object": PyroObject,
    "command": Command,
}
