"""What may stand in the configuration: one model for each table, one for each kind of service.

The keys, and their defaults, are those that the core values declare. What is written here is what
a file has and a core value has not, and what must hold between the keys of one table.
"""

from collections.abc import Callable, Container
from dataclasses import MISSING
from typing import Annotated, Any, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from pyroctl.config.check import types
from pyroctl.config.check.exposure import is_loopback
from pyroctl.config.check.validators import refuse
from pyroctl.config.source.diagnostics import show
from pyroctl.core.key_types import UNIX
from pyroctl.core.keys import Key, keys_of
from pyroctl.core.spec import (
    KIND_NAMES,
    AllowSpec,
    CommandOptions,
    DelayReady,
    Deployment,
    EventServiceOptions,
    LogSpec,
    MetricsLabelsSpec,
    NameServerOptions,
    ObjectOptions,
    ProxySpec,
    Readiness,
    RemoteSpec,
    RuleSpec,
    ServiceSpec,
    WatchdogSpec,
    WebOptions,
    WebTlsSpec,
)

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

BOUND_DEFAULTS = {"restart_max_delay"}
"""Keys whose default must be checked, too: another key may exclude it."""

READY_FORMS: dict[str, Any] = {
    keys_of(form)[0].name: form for form in get_args(Readiness) if keys_of(form)
}
"""The core values of the forms of a `ready` table, by the key that stands for the form."""


class Table(BaseModel):
    """A table of the configuration: strict, and without unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


T = TypeVar("T", bound=Table)


def _declared_by(*tables: Any, forms: Container[str] = ()) -> Callable[[type[T]], type[T]]:
    """Add the keys that core values declare to a model, except for those that it has itself.

    The keys in `forms` may be left out.
    """

    def add(model: type[T]) -> type[T]:
        keys = [key for table in tables for key in keys_of(table)]
        fields = {
            key.name: _field(key, optional=key.optional or key.name in forms)
            for key in keys
            if key.name not in model.model_fields
        }
        make: Any = create_model
        name = model.__name__.removesuffix("Table")  # as the schema calls it
        added: type[T] = make(name, __base__=model, __doc__=model.__doc__, **fields)
        return added

    return add


def _field(key: Key, *, optional: bool) -> tuple[Any, Any]:
    if optional:
        return types.type_of(key) | None, None
    if key.default is MISSING:
        return types.type_of(key), ...
    default: Any = list(key.default) if isinstance(key.default, tuple) else key.default
    return types.type_of(key), Field(default, validate_default=key.name in BOUND_DEFAULTS)


class TopTable(Table):
    """The keys outside all tables."""

    include: types.Files = []


@_declared_by(AllowSpec)
class AllowTable(Table):
    """One of `[[manager.allow]]`."""

    @model_validator(mode="after")
    def _for_somebody(self) -> Self:
        if not {"users", "groups", "clients"} & self.model_fields_set:
            raise refuse("expected users, groups or clients", 'such as groups = ["lab"]')
        return self


@_declared_by(RemoteSpec)
class RemoteTable(Table):
    """`[manager.remote]`."""


@_declared_by(Deployment)
class ManagerTable(Table):
    """`[manager]`."""

    name: types.Name = "default"
    strict: types.Truth = False
    allow: Annotated[list[AllowTable], Field(description="list of tables")] = []
    remote: Annotated[RemoteTable | None, Field(description="table")] = None


@_declared_by(LogSpec)
class LogTable(Table):
    """`log` of a service."""

    @field_validator("total_bytes", check_fields=False)
    @classmethod
    def _holds_one_file(cls, value: int | None, info: ValidationInfo) -> int | None:
        largest = info.data.get("max_bytes", 0)
        if value is not None and value < largest:
            raise refuse(f"must be at least max_bytes, which is {largest}, got {value}")
        return value


@_declared_by(WatchdogSpec)
class WatchdogTable(Table):
    """`watchdog` of a service, when it is a table."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if {"port", "command"} <= self.model_fields_set:
            raise refuse("expected port or command, got both")
        if "host" in self.model_fields_set and "port" not in self.model_fields_set:
            raise refuse("host goes with port")
        return self


@_declared_by(*READY_FORMS.values(), forms=READY_FORMS)
class ReadyTable(Table):
    """`ready` of a command, when it is a table: exactly one of the forms."""

    @property
    def form(self) -> str:
        """The key that stands for the form."""
        return next(key for key in READY_FORMS if key in self.model_fields_set)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = [key for key in READY_FORMS if key in self.model_fields_set]
        if len(forms) != 1:
            found = " and ".join(forms) if forms else "nothing"
            raise refuse(f"expected one of {', '.join(READY_FORMS)}, got {found}")
        for form, table in READY_FORMS.items():
            for key in keys_of(table):
                if key.name in self.model_fields_set and form != forms[0]:
                    raise refuse(f"{key.name} goes with {form}, not with {forms[0]}")
        return self


@_declared_by(ServiceSpec)
class ServiceTable(Table):
    """The keys that every kind of service has."""

    kind: types.Text
    env_file: types.Files = []
    log: LogTable = LogTable()
    watchdog: Annotated[WatchdogTable | None, Field(description="false or table")] = None
    """None is false or left out: `model_fields_set` has the difference."""

    @field_validator("watchdog", mode="before")
    @classmethod
    def _off_or_table(cls, value: Any) -> Any:
        if value is False or value is None:
            return None
        if isinstance(value, dict | WatchdogTable):
            return value
        raise refuse(
            f"expected false or a table, got {show(value)}",
            "such as { every = 2, timeout = 2, failures = 3 }",
        )

    @field_validator("restart_max_delay", check_fields=False)
    @classmethod
    def _not_below_restart_delay(cls, value: float, info: ValidationInfo) -> float:
        delay = info.data.get("restart_delay", 0)
        if value < delay:
            raise refuse(f"must be at least restart_delay, which is {delay:g}, got {value:g}")
        return value


@_declared_by(NameServerOptions)
class NameServerTable(ServiceTable):
    """Kind `nameserver`."""


@_declared_by(RuleSpec)
class RuleTable(Table):
    """One of `[[services.NAME.allow]]` of an event service."""


@_declared_by(EventServiceOptions)
class EventServiceTable(ServiceTable):
    """Kind `eventservice`."""

    allow: Annotated[list[RuleTable], Field(description="list of tables")] = []

    @field_validator("port", check_fields=False)
    @classmethod
    def _none_for_a_unix_socket(cls, value: int, info: ValidationInfo) -> int:
        if value and info.data.get("host", "").startswith(UNIX):
            raise refuse("a Unix socket has no port", "leave port out")
        return value


class ReplicatedTable(ServiceTable):
    """A kind of which there may be several instances."""

    instances: types.Instances | None = None


@_declared_by(ObjectOptions)
class ObjectTable(ReplicatedTable):
    """Kind `object`."""

    @model_validator(mode="after")
    def _one_kind_of_tls(self) -> Self:
        given = self.model_dump(include={"tls", "ssl_servercert"})
        if given["tls"] != "off" and given["ssl_servercert"] is not None:
            raise refuse("expected tls or ssl_servercert, got both")
        return self

    @field_validator(*PARTNERS, check_fields=False)
    @classmethod
    def _not_without(cls, value: Any, info: ValidationInfo) -> Any:
        partner = PARTNERS[str(info.field_name)]
        if value and partner in info.data and info.data[partner] is None:
            raise refuse(f"requires {partner}, which is not set")
        return value


@_declared_by(CommandOptions)
class CommandTable(ReplicatedTable):
    """Kind `command`."""

    ready: Annotated[ReadyTable | None, Field(description='"notify" or table')] = (
        ReadyTable.model_validate({"delay": DelayReady().delay})
    )
    """None is "notify"."""

    @field_validator("ready", mode="before")
    @classmethod
    def _word_or_table(cls, value: Any) -> Any:
        if value == "notify":
            return None
        if isinstance(value, dict | ReadyTable):
            return value
        forms = ", ".join(f"{{ {form} = … }}" for form in READY_FORMS)
        raise refuse(f'expected "notify" or a table, got {show(value)}', f"forms: {forms}")


@_declared_by(WebTlsSpec)
class WebTlsTable(Table):
    """`tls` of a page."""


@_declared_by(ProxySpec)
class ProxyTable(Table):
    """`proxy` of a page."""


@_declared_by(MetricsLabelsSpec)
class MetricsLabelsTable(Table):
    """`[services.NAME.metrics_labels]` of a page."""


@_declared_by(WebOptions)
class WebTable(ServiceTable):
    """Kind `web`."""

    socket: types.File | None = None
    tls: Annotated[WebTlsTable | None, Field(description="table")] = None
    proxy: Annotated[ProxyTable | None, Field(description="table")] = None
    metrics_labels: MetricsLabelsTable = MetricsLabelsTable()

    @field_validator("proxy")
    @classmethod
    def _only_with_socket(cls, value: ProxyTable | None, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("socket") is None:
            raise refuse("a proxy is only trusted at a socket", 'add socket = "web.sock"')
        return value

    @field_validator("host", check_fields=False)
    @classmethod
    def _not_in_clear(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("socket") is not None:
            raise refuse("expected socket or host, got both")
        if not is_loopback(value) and info.data.get("tls") is None:
            raise refuse(
                f"the token of the page would go in clear to {value}",
                "add tls = { cert = …, key = … }, or let a proxy have TLS, and give it a socket",
            )
        return value

    @field_validator("port", check_fields=False)
    @classmethod
    def _none_for_a_socket(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("socket") is not None:
            raise refuse("expected socket or port, got both")
        return value

    @field_validator("user", "group", check_fields=False)
    @classmethod
    def _as_the_manager(cls, value: str | None) -> str | None:
        if value is not None:
            raise refuse("a page runs as the manager's user", "leave it out")
        return value


_MODELS = (NameServerTable, EventServiceTable, ObjectTable, CommandTable, WebTable)
KINDS: dict[str, type[ServiceTable]] = dict(zip(KIND_NAMES.values(), _MODELS, strict=True))
