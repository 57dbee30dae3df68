"""What a type checker accepts of reconnecting proxies; run by `make check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from pyro_events import ReconnectingProxy
from pyro_events.reconnecting import LifeCycle
from pyro_events.types import ProxyStatistics

if TYPE_CHECKING:
    from pyro_events.types import ProxyNotice


class Market(ReconnectingProxy):
    """Overrides the hooks."""

    def connected(self, notice: ProxyNotice) -> None:
        """There is a place."""
        assert_type(notice["uri"], str | None)

    def disconnected(self, notice: ProxyNotice) -> None:
        """There is a reason."""
        assert_type(notice["reason"], str | None)


def call() -> None:
    """Any method and attribute, with any arguments and results."""
    with LifeCycle() as services, Market("PYRONAME:m", events=services, patience=1) as market:
        assert_type(market, Market)
        assert_type(market.prices("x", day=1), Any)
        assert_type(market.method("close", repeatable=True)(), Any)
        assert_type(market.statistics(), ProxyStatistics)
    Market("PYRONAME:m", repeatable={"prices"}, events="PYRONAME:Pyro.EventService")
    Market("PYRONAME:m", repeatable=1)  # type: ignore[arg-type]
