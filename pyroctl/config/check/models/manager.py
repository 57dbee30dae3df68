"""The tables outside the services."""

from typing import Annotated, Self

from pydantic import (
    Field,
    model_validator,
)

from pyroctl.config.check import types
from pyroctl.config.check.models.base import Table, declared_by
from pyroctl.config.check.validators import refuse
from pyroctl.core.alerts.spec import AlertsSpec
from pyroctl.core.spec import (
    AllowSpec,
    Deployment,
    RemoteSpec,
)


class TopTable(Table):
    """The keys outside all tables."""

    include: types.Files = []


@declared_by(AllowSpec)
class AllowTable(Table):
    """One of `[[manager.allow]]`."""

    @model_validator(mode="after")
    def _for_somebody(self) -> Self:
        if not {"users", "groups", "clients"} & self.model_fields_set:
            raise refuse("expected users, groups or clients", 'such as groups = ["lab"]')
        return self


@declared_by(RemoteSpec)
class RemoteTable(Table):
    """`[manager.remote]`."""


@declared_by(Deployment)
class ManagerTable(Table):
    """`[manager]`."""

    name: types.Name = "default"
    strict: types.Truth = False
    allow: Annotated[list[AllowTable], Field(description="list of tables")] = []
    remote: Annotated[RemoteTable | None, Field(description="table")] = None


@declared_by(AlertsSpec)
class AlertsTable(Table):
    """`[alerts]`."""

    @model_validator(mode="after")
    def _says_how(self) -> Self:
        if not {"command", "publish"} & self.model_fields_set:
            raise refuse("expected command or publish", 'such as publish = "lab.alerts"')
        return self
