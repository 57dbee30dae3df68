"""People's own services: objects, commands and tasks."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pyroctl.config.check.models.base import PARTIAL, declared_by
from pyroctl.config.check.models.service import (
    READY_FORMS,
    ReadyTable,
    ReplicatedTable,
    ServiceTable,
)
from pyroctl.config.check.validators import choice, refuse
from pyroctl.config.source.diagnostics import show
from pyroctl.core.spec import (
    CommandOptions,
    DelayReady,
    ObjectOptions,
    TaskOptions,
)

PARTNERS = {
    "names": "pyro_name",
    "natport": "nathost",
    "ssl_serverkey": "ssl_servercert",
    "ssl_cacerts": "ssl_servercert",
    "ssl_requireclientcert": "ssl_servercert",
    "ssl_clientcert": "ssl_servercert",
    "ssl_clientkey": "ssl_clientcert",
}
"""Keys of an object, each with the one without which it means nothing."""

OF_A_CLASS = (
    "kwargs",
    "instance_mode",
    "expose",
    "daemon",
    "pyro_name",
    "host",
    "port",
    "nathost",
    "tls",
)
"""Keys of an object that a module which serves by itself can't have."""

OF_ONE_OBJECT = ("pyro_name", "names", "args", "kwargs")
"""Keys that mean nothing for several objects, which have their names in the table."""


@declared_by(ObjectOptions)
class ObjectTable(ReplicatedTable):
    """Kind `object`."""

    @model_validator(mode="after")
    def _one_or_several(self, info: ValidationInfo) -> Self:
        if (info.context or {}).get(PARTIAL):
            return self
        given = self.model_dump(include={"object", *OF_ONE_OBJECT, "objects"})
        several = bool(given["objects"])
        if several == (given["object"] is not None):
            found = "both" if several else "neither"
            raise refuse(f"expected object or objects, got {found}", 'such as object = "m:Class"')
        for key in OF_ONE_OBJECT if several else ():
            if given[key]:
                raise refuse(f"{key} goes with object, not with objects")
        return self

    @model_validator(mode="after")
    def _one_kind_of_tls(self) -> Self:
        given = self.model_dump(include={"tls", "ssl_servercert"})
        if given["tls"] != "off" and given["ssl_servercert"] is not None:
            raise refuse("expected tls or ssl_servercert, got both")
        return self

    @field_validator(*OF_A_CLASS, check_fields=False)
    @classmethod
    def _not_of_a_module(cls, value: Any, info: ValidationInfo) -> Any:
        module = info.data.get("object") or ":"
        if ":" not in module:
            hint = f'for a class of it: object = "{module}:Class"'
            raise refuse(f"{module} is a module, which decides this itself", hint)
        return value

    @field_validator("daemon", check_fields=False)
    @classmethod
    def _a_class(cls, value: str | None) -> str | None:
        if value is not None and (":" not in value or value.endswith("()")):
            raise refuse(f'"{value}" is not a class', 'such as "module:Daemon"')
        return value

    @field_validator("metadata", check_fields=False)
    @classmethod
    def _of_a_name(cls, value: list[str], info: ValidationInfo) -> list[str]:
        partial = (info.context or {}).get(PARTIAL)
        named = info.data.get("pyro_name", "") is not None or info.data.get("objects")
        if value and not partial and not named:
            raise refuse("requires pyro_name, which is not set")
        return value

    @field_validator(*PARTNERS, check_fields=False)
    @classmethod
    def _not_without(cls, value: Any, info: ValidationInfo) -> Any:
        partner = PARTNERS[str(info.field_name)]
        partial = (info.context or {}).get(PARTIAL)
        if value and not partial and partner in info.data and info.data[partner] is None:
            raise refuse(f"requires {partner}, which is not set")
        return value


@declared_by(CommandOptions)
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


@declared_by(TaskOptions)
class TaskTable(ServiceTable):
    """Kind `task`."""

    restart: Annotated[
        Literal["on-failure", "never"],
        BeforeValidator(choice),
        Field(description='"on-failure" or "never"'),
    ] = "never"

    @field_validator("at", check_fields=False)
    @classmethod
    def _one_schedule(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if value and info.data.get("every") is not None:
            raise refuse("expected every or at, got both")
        return value

    @field_validator("timezone", check_fields=False)
    @classmethod
    def _goes_with_at(cls, value: str | None, info: ValidationInfo) -> str | None:
        partial = (info.context or {}).get(PARTIAL)
        if value is not None and not info.data.get("at") and not partial:
            raise refuse("requires at, which is not set")
        return value
