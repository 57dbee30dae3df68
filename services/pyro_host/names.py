"""The hosted object's name in a Pyro name server."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

import pyro_wire.registration
from pyro_child import CannotServe
from pyro_host.daemon import PROBE
from pyro_wire.address import AddressError
from pyro_wire.name_server import NameServerUnreachable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_log = logging.getLogger("pyro_host")


class Registration(pyro_wire.registration.Registration):
    """The name of one object, whose earlier holder may serve TLS. Raises CannotServe."""

    def __init__(
        self, name: str, uri: str, incarnation: str, address: str | None, metadata: Collection[str]
    ) -> None:
        with _cannot_serve():
            super().__init__(
                name, uri, incarnation, address,
                handshake=PROBE, log=_log, metadata=metadata, tls=True,
            )  # fmt: skip

    def register(self, address: str | None = None) -> None:
        """Register as the base class does; raises its errors as CannotServe."""
        with _cannot_serve():
            super().register(address)


@contextlib.contextmanager
def _cannot_serve() -> Iterator[None]:
    try:
        yield
    except AddressError as error:
        raise CannotServe(f"{error}; write HOST:PORT", permanent=True) from None
    except NameServerUnreachable as error:
        raise CannotServe(f"can't register the object: {error}") from None
    except pyro_wire.registration.NameTaken as error:
        raise CannotServe(f"{error}: stop that one, or choose another pyro_name") from None
