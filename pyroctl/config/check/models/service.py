"""What services of every kind may have."""

from typing import Annotated, Any, Self, get_args

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pyroctl.config.check import types
from pyroctl.config.check.models.base import PARTIAL, Table, declared_by
from pyroctl.config.check.validators import refuse
from pyroctl.config.source.diagnostics import show
from pyroctl.core.keys import keys_of
from pyroctl.core.spec import (
    LogSpec,
    Readiness,
    ServiceSpec,
    WatchdogSpec,
)

READY_FORMS: dict[str, Any] = {
    keys_of(form)[0].name: form for form in get_args(Readiness) if keys_of(form)
}
"""The core values of the forms of a `ready` table, by the key that stands for the form."""


@declared_by(LogSpec)
class LogTable(Table):
    """`log` of a service."""

    @field_validator("total_bytes", check_fields=False)
    @classmethod
    def _holds_one_file(cls, value: int | None, info: ValidationInfo) -> int | None:
        largest = info.data.get("max_bytes", 0)
        if value is not None and value < largest:
            raise refuse(f"must be at least max_bytes, which is {largest}, got {value}")
        return value


@declared_by(WatchdogSpec)
class WatchdogTable(Table):
    """`watchdog` of a service, when it is a table."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = [key for key in ("port", "command", "call") if key in self.model_fields_set]
        if len(forms) > 1:
            raise refuse(f"expected one of port, command and call, got {' and '.join(forms)}")
        if "expect" in self.model_fields_set and "call" not in self.model_fields_set:
            raise refuse("expect goes with call", 'such as call = "get_status"')
        if "host" in self.model_fields_set and "port" not in self.model_fields_set:
            raise refuse("host goes with port")
        return self


@declared_by(*READY_FORMS.values(), forms=READY_FORMS)
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


@declared_by(ServiceSpec)
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
        partial = (info.context or {}).get(PARTIAL)
        if value < delay and not partial:
            raise refuse(f"must be at least restart_delay, which is {delay:g}, got {value:g}")
        return value


class ReplicatedTable(ServiceTable):
    """A kind of which there may be several instances."""

    instances: types.Instances | None = None
