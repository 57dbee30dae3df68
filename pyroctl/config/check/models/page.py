"""The page, and its tables."""

from typing import Annotated, Any

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
)

from pyroctl.config.check import types
from pyroctl.config.check.exposure import is_loopback
from pyroctl.config.check.models.base import Table, declared_by
from pyroctl.config.check.models.service import ServiceTable
from pyroctl.config.check.validators import refuse
from pyroctl.core.options.page import MetricsLabelsSpec, ProxySpec, WebOptions, WebTlsSpec


@declared_by(WebTlsSpec)
class WebTlsTable(Table):
    """`tls` of a page."""


@declared_by(ProxySpec)
class ProxyTable(Table):
    """`proxy` of a page."""


@declared_by(MetricsLabelsSpec)
class MetricsLabelsTable(Table):
    """`[services.NAME.metrics_labels]` of a page."""


@declared_by(WebOptions)
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
