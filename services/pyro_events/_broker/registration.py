"""The event service's name in the name server. Blocking, with a deadline on everything."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pyro_wire.registration
from pyro_events._broker.errors import NameServerUnreachable, NameTaken, ServiceFault
from pyro_events._protocol.event import EVENTSERVICE_NAME, HELPER_PROTOCOL
from pyro_wire import name_server
from pyro_wire.address import AddressError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HANDSHAKE = {"pyro_events": HELPER_PROTOCOL, "role": "publisher", "name": "", "nonce": ""}
"""An event service answers it with its incarnation, also one that then wants a proof."""

_log = logging.getLogger("pyro_events")


class Registration(pyro_wire.registration.Registration):
    """The name of one event service; raises ServiceFault for an address that can't be one.

    May be used by several threads.
    """

    def __init__(self, address: str | None, uri: str, incarnation: str) -> None:
        with _service_faults():
            super().__init__(
                EVENTSERVICE_NAME, uri, incarnation, address, handshake=HANDSHAKE, log=_log
            )

    def register(self, address: str | None = None) -> None:
        """Register as the base class does; raises its errors as ServiceFaults."""
        with _service_faults():
            super().register(address)

    def snapshot(self) -> dict[str, object]:
        """Return the state for a process that replaces this one and keeps the URI."""
        return {"server": str(self._server), "tried": self._tried, "held": self.held}

    @classmethod
    def restore(cls, values: Mapping[str, Any], uri: str, incarnation: str) -> Registration:
        """Return the registration that another process of the same event service had."""
        restored = cls(values["server"], uri, incarnation)
        restored._tried, restored.held = values["tried"], values["held"]
        return restored


@contextlib.contextmanager
def _service_faults() -> Iterator[None]:
    try:
        yield
    except AddressError as error:
        raise ServiceFault(str(error), hint="write HOST:PORT, such as localhost:9090") from None
    except name_server.NameServerUnreachable as error:
        raise NameServerUnreachable(
            str(error),
            hint="start one with pyro5-ns, give its address with --ns HOST:PORT, "
            "or run without a name server: -N",
        ) from None
    except pyro_wire.registration.NameTaken as error:
        raise NameTaken(
            str(error), hint="stop that one first, or run this one without a name server: -N"
        ) from None
