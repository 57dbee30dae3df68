"""The services that bring objects and events together."""

from typing import Annotated

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
)

from pyroctl.config.check.models.base import Table, declared_by
from pyroctl.config.check.models.service import ServiceTable
from pyroctl.config.check.validators import refuse
from pyroctl.core.key_types import UNIX
from pyroctl.core.spec import (
    EventServiceOptions,
    NameServerOptions,
    RuleSpec,
)


@declared_by(NameServerOptions)
class NameServerTable(ServiceTable):
    """Kind `nameserver`."""


@declared_by(RuleSpec)
class RuleTable(Table):
    """One of `[[services.NAME.allow]]` of an event service."""


@declared_by(EventServiceOptions)
class EventServiceTable(ServiceTable):
    """Kind `eventservice`."""

    allow: Annotated[list[RuleTable], Field(description="list of tables")] = []

    @field_validator("port", check_fields=False)
    @classmethod
    def _none_for_a_unix_socket(cls, value: int, info: ValidationInfo) -> int:
        if value and info.data.get("host", "").startswith(UNIX):
            raise refuse("a Unix socket has no port", "leave port out")
        return value
