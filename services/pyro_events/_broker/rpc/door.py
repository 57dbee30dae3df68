"""What all sessions have in common about who comes in, and how: with TLS or without."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakSet

from pyro_events._broker.errors import TlsUnusable
from pyro_events._broker.net.tls_connection import TlsConnection
from pyro_events._broker.rpc import calls
from pyro_events._broker.rpc.targets import is_loopback
from pyro_events._protocol.decode_limits import LimitReached
from pyro_wire.tls.door import identity_of
from pyro_wire.tls.files import load_client
from pyro_wire.tls.reload import ReloadedIdentity
from pyro_wire.tls.session import FIRST_BYTE, NOT_HERE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from Pyro5.core import URI

    from pyro_events._broker.identification import Identification
    from pyro_events._broker.net.admission import Admission, GuessDelays
    from pyro_events._broker.net.handshakes import Handshakes
    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.net.loop_share import LoopShare
    from pyro_events._broker.net.socket_owner import SocketOwners
    from pyro_events._broker.net.tls_connection import CalledOwner
    from pyro_events._broker.principal import Principal
    from pyro_events._broker.rejections import RefusalLog, RejectionCounters
    from pyro_events._broker.rpc.session import Session
    from pyro_events._broker.settings import Settings
    from pyro_events.types import TlsStatistics
    from pyro_wire.tls.certificate import Certificate
    from pyro_wire.tls.files import TlsIdentity


class TlsDoor:
    """The way in with TLS. For the loop's thread."""

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        identity: ReloadedIdentity,
        handshakes: Handshakes,
        changed: Callable[[], None],
    ) -> None:
        """Prepare; `changed` is called when a connection finds that the files were replaced."""
        self.identity = identity
        self.handshakes = handshakes
        self.done = 0
        """How many handshakes have succeeded."""
        self.refused = 0
        """How many clients were refused because of TLS."""
        self._loop = loop
        self._settings = settings
        self._changed = changed
        self._seen = identity.latest
        self._called: WeakSet[CalledOwner] = WeakSet()
        self._calling = ReloadedIdentity(identity.files, load_client)
        """What we show stock daemons, and the CA that we believe about them."""

    @property
    def required(self) -> bool:
        """Whether clients without TLS are refused."""
        return self._settings.tls == "required"

    def latest(self) -> TlsIdentity:
        """Return what the files have said when a handshake began last.

        They are only touched by the thread of handshakes: a file system may hang.
        """
        identity = self.identity.latest
        if identity is not self._seen:
            self._seen = identity
            self._loop.call_soon(self._changed)
            self._loop.call_soon(self.end_calls)
        return identity

    def reload(self) -> None:
        """Read the files again if they were replaced."""

        def read() -> Callable[[], None]:
            self.identity.current()
            return self._look

        self.handshakes.run("", read)

    def _look(self) -> None:
        self.latest()

    def begin(self, session: Session, received: bytes) -> None:
        """Do the handshake whose first bytes were `received`."""
        session.connection = TlsConnection(
            self._loop,
            session.connection.release(),
            self._settings.handshake_size,
            session,
            identity=self.identity.current,
            handshakes=self.handshakes,
            received=received,
        )
        session.large.watch(session.connection.reader)

    def call_back(self, sock: socket.socket, max_size: int, owner: CalledOwner) -> TlsConnection:
        """Begin TLS with the daemon of a helper, which is the client in the TLS handshake.

        So it checks our host, and we its name, as when it has connected to us.
        """
        self._called.add(owner)
        return TlsConnection(
            self._loop,
            sock,
            max_size,
            owner,
            identity=self.identity.current,
            handshakes=self.handshakes,
            received=b"",
        )

    def call(
        self, sock: socket.socket, max_size: int, owner: CalledOwner, host: str
    ) -> TlsConnection:
        """Begin TLS with a stock daemon at that host, which is the server in the TLS handshake."""
        self._called.add(owner)
        return TlsConnection(
            *(self._loop, sock, max_size, owner),
            identity=self._calling.current,
            handshakes=self.handshakes,
            received=b"",
            host=host,
        )

    def may_fall_back(self, address: str) -> bool:
        """Return whether a daemon may be called without TLS that was to be called over it.

        Elsewhere, whoever can cut a connection could make us do it.
        """
        return is_loopback(address)

    def end_calls(self) -> None:
        """Begin TLS again with all whom we have called."""
        for each in list(self._called):
            each.end_tls()

    def refusal(self, peer: Certificate) -> str | None:
        """Return why a certificate that OpenSSL has accepted isn't let in, if it isn't."""
        return self.latest().refusal(peer)

    def statistics(self, sessions: Iterable[Session]) -> TlsStatistics:
        """Return what `statistics` tells about TLS."""
        own = self.latest().own
        return {
            "mode": self._settings.tls,
            "name": own.name,
            "expires": own.end.isoformat(),
            "connections": sum(each.certificate is not None for each in sessions),
            "handshakes": self.done,
            "refused": self.refused,
        }


def chosen_identity(settings: Settings, host: str) -> ReloadedIdentity | None:
    """Return the certificate that is chosen, None without TLS. Raises TlsUnusable."""
    try:
        return identity_of(settings, host, os.environ)
    except (OSError, ValueError) as error:
        raise TlsUnusable(f"no TLS: {error}") from None


@dataclass(frozen=True, slots=True)
class Door:
    """How clients come in, and who is turned away."""

    owners: SocketOwners
    identification: Identification
    admission: Admission
    delays: GuessDelays
    rejections: RejectionCounters
    log: RefusalLog
    share: LoopShare
    local: Callable[[], str | None]
    """Returns the name of the socket for helpers on this machine, None if there is none."""
    tls: TlsDoor | None = None

    def local_for(self, session: Session) -> str | None:
        """Return the socket's name that is offered to a helper on this machine, without TLS."""
        near = session.peer is not None and session.user is not None
        return self.local() if near and session.certificate is None else None

    def refuse(self, session: Session, error: Exception) -> None:
        """Count and log a client that is turned away."""
        if self.tls is not None and isinstance(error, LimitReached) and error.limit == "tls":
            self.tls.refused += 1
        self.rejections.count(error)
        self.log.refused(f"{session} is refused: {calls.describe(error)}")

    def begin_tls(self, session: Session, received: bytes) -> bool:
        """Continue with TLS, or say that there is none; False if `received` isn't TLS."""
        nested = session.certificate is not None
        if nested or session.peer is None or not received.startswith(FIRST_BYTE):
            return False
        if self.tls is not None:
            self.admission.secure(session)
            self.tls.begin(session, received)
        else:
            session.connection.send(NOT_HERE)
            session.connection.finish("it speaks TLS")
            self.refuse(session, LimitReached("tls", "it speaks TLS, which is off here"))
        return True

    def check_tls(self, session: Session) -> None:
        """Raise LimitReached for a client that TLS lets in, but not here."""
        tls = self.tls
        if tls is None or session.peer is None:
            return
        if session.certificate is not None:
            refusal = tls.refusal(session.certificate)
            if refusal is not None:
                raise LimitReached("tls", refusal)
            tls.done += 1
        elif tls.required:
            raise LimitReached(
                "tls", "this event service speaks TLS only: connect with a certificate of its CA"
            )

    def check_callback(self, uri: URI) -> None:
        """Raise LimitReached for an object that would be called without TLS, if it is required."""
        required = self.tls is not None and self.tls.required
        if required and uri.sockname is None and not is_loopback(uri.host):
            raise LimitReached(
                "tls",
                f"this event service speaks TLS only, and it would call {uri} without: "
                "subscribe over TLS",
            )

    def removed(self, sessions: Iterable[Session]) -> list[tuple[Session, str]]:
        """Return the clients that were accepted and would not be any more, and why."""
        found = [(each, self._why_no_more(each)) for each in sessions if each.accepted]
        return [(each, why) for each, why in found if why is not None]

    def _why_no_more(self, session: Session) -> str | None:
        if not self.identification.knows(session.proven):
            return "its secret is not one of this event service any more"
        tls = self.tls
        if session.certificate is not None and tls is not None:
            return tls.refusal(session.certificate)
        if tls is not None and tls.required and session.peer is not None:
            return "this event service speaks TLS only by now"
        return None

    def is_removed(self, owner: Principal) -> bool:
        """Return whether nobody of that name has a certificate or a secret any more."""
        if owner.evidence == "certificate" and self.tls is not None:
            allowed = self.tls.latest().allowed
            return allowed is not None and owner.name not in allowed.keys
        return owner.evidence == "secret" and not self.identification.has(owner.name)
