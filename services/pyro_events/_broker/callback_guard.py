"""Whom the event service calls back: only objects of those who ask for it.

It would connect to any host and port otherwise, and call `event` of anybody's instrument with the
words of whoever publishes. So the address has to be the client's own, and within this machine the
process that listens there its user's. `callback_allow` lists further addresses.
"""

from __future__ import annotations

import logging
import os
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Protocol

from Pyro5.errors import PyroError

from pyro_events._broker.delivery.publication import PendingResult
from pyro_events._broker.net.dialer import numeric
from pyro_events._broker.net.socket_owner import NoListener, is_own
from pyro_events._broker.snapshot.model import Callee
from pyro_events._protocol.decode_limits import LimitReached

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from Pyro5.core import URI

    from pyro_events._broker.delivery.context import DeliveryContext
    from pyro_events._broker.net.dialer import Resolver
    from pyro_events._broker.principal import Principal

    Use = Callable[[Callee], object]

_log = logging.getLogger("pyro_events")


class Caller(Protocol):
    """A client, as far as this decides about it."""

    @property
    def principal(self) -> Principal:
        """Its identity."""

    @property
    def peer(self) -> str | None:
        """Its address, None at the end of a Unix socket."""

    @property
    def user(self) -> int | None:
        """Its user, if it is on this machine."""


class CallbackGuard:
    """Decides which object may be called for which client. For the loop's thread."""

    def __init__(self, context: DeliveryContext[Any], resolver: Resolver) -> None:
        self._owners = context.owners
        self._failures = context.failures
        self._allowed = [ip_network(each) for each in context.settings.callback_allow]
        self._resolver = resolver
        self._open: set[PendingResult] = set()
        """Calls whose host is being looked up."""

    def admit(self, caller: Caller, uri: URI, use: Use) -> object:
        """Call `use` with the object at that address, which the client wants to have called.

        Returns what that returns, or a PendingResult that finishes with it if the host is a name.
        Raises LimitReached, or fails with it, if the object may not be called for this client.
        """
        self._failures.check(caller.principal.account)
        if uri.sockname is not None:
            return use(Callee(str(uri), uri.sockname, _check_path(caller, uri.sockname)))
        address = numeric(uri.host)
        if address is not None:
            return use(self._callee(caller, uri, [address]))
        pending = PendingResult()
        self._open.add(pending)

        def resolved(found: Sequence[str] | OSError) -> None:
            if pending in self._open:
                self._open.remove(pending)
                _settle(pending, lambda: use(self._callee(caller, uri, found)))

        self._resolver.resolve(uri.host, resolved)
        return pending

    def settle(self) -> None:
        """Fail the calls that wait for a name: another process takes over."""
        waiting, self._open = self._open, set()
        for pending in waiting:
            pending.fail(PyroError("the event service is being replaced: call again"))

    def _callee(self, caller: Caller, uri: URI, found: Sequence[str] | OSError) -> Callee:
        """Return the object at the first address that may be called; raises LimitReached."""
        if isinstance(found, OSError):
            raise _refused(f"the host of {uri} is unknown here: {found.strerror or found}")
        local = caller.peer is None or caller.user is not None or is_own(caller.peer)
        for address in found:
            if any(ip_address(address.partition("%")[0]) in each for each in self._allowed):
                return Callee(str(uri), address, None)
            if local and is_own(address):
                user = self._check_user(caller, uri, address)
                return Callee(str(uri), address, user)
            if not local and address == caller.peer:
                return Callee(str(uri), address, None)
        raise _refused(
            f"subscriber {uri} is at {found[0]}, and not at the address that it subscribes from, "
            f"{caller.peer or 'a Unix socket'}"
        )

    def _check_user(self, caller: Caller, uri: URI, address: str) -> int | None:
        """Return the user whose process it has to be, None if the kernel doesn't tell."""
        try:
            user = self._owners.listening_user(address, uri.port)
        except NoListener as error:
            if caller.user is None:
                raise _refused(f"subscriber {uri}: {error}") from None
            return caller.user  # it is looked at again when we connect
        if user is not None and user != caller.user:
            raise _refused(
                f"subscriber {uri}: a process of another user (uid {user}) listens there"
            )
        return user


def _check_path(caller: Caller, path: str) -> int | None:
    """Return the user to whom a Unix socket has to belong, the client's."""
    try:
        owner = os.stat(path).st_uid  # noqa: PTH116 - it is text
    except OSError as error:
        raise _refused(f"subscriber at {path}: {error.strerror or error}") from None
    if owner != caller.user:
        raise _refused(f"subscriber at {path}: the socket belongs to another user (uid {owner})")
    return owner


def _refused(why: str) -> LimitReached:
    return LimitReached(
        "callback_allow",
        f"{why}; the event service calls only its clients themselves: use delivery by stream, or "
        "allow the address with callback_allow",
    )


def _settle(pending: PendingResult, compute: Callable[[], object]) -> None:
    """Finish a result with what a function returns, perhaps later, or raises."""
    try:
        value = compute()
    except Exception as error:  # noqa: BLE001 - it is sent to the caller
        if not isinstance(error, (ValueError, TypeError, PyroError, PermissionError)):
            _log.exception("error after looking up a subscriber's host")
        pending.fail(error)
        return
    if not isinstance(value, PendingResult):
        pending.finish(value)
        return

    def follow(later: PendingResult = value) -> None:
        if later.error is None:
            pending.finish(later.value)
        else:
            pending.fail(later.error)

    value.when_done(follow)
