"""The large requests of one connection: when they may be decoded, and who pays if they are refused.

Small ones are not even measured, so that plain publishing costs nothing more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyro_events._broker.net.loop_share import LoopShare
    from pyro_events._broker.rpc.session import Session
    from pyro_wire.framing import FrameReader


class LargeRequests:
    """Measures them by the processor time of the loop's thread, to which it belongs.

    A connection whose last one was accepted doesn't wait for the next one, whatever other
    connections of the same client have cost.
    """

    __slots__ = ("_proven", "_resting", "_session", "_share", "_spent", "began", "refused")

    def __init__(self, session: Session, share: LoopShare) -> None:
        self._session = session
        self._share = share
        self._proven = False
        """Whether the next one needs not wait: the last one was accepted, or it has waited."""
        self._resting = False
        """Whether the present one is begun, and goes on when others had a turn."""
        self._spent = 0.0
        """Seconds that the present one has taken in earlier turns."""
        self.began: float | None = None
        """When the present one was begun."""
        self.refused = False
        """Whether it was refused."""

    def watch(self, reader: FrameReader) -> None:
        """Measure the large requests of this reader, and let others have turns between."""
        reader.admit, reader.rest = self.admit, self.rest

    def admit(self) -> bool:
        """Return whether the next one may be decoded; else nothing is read until it is its turn."""
        session = self._session
        if self._resting:
            self._resting = False
            self.began = time.thread_time()
            return True
        if not self._proven and not self._share.admit(session.principal.account, session, self._go):
            session.connection.pause()
            return False
        self.refused, self._spent = False, 0.0
        self.began = time.thread_time()
        return True

    def rest(self) -> None:
        """Pause in the middle of the present one, so that others have a turn."""
        if self.began is not None:
            self._spent += time.thread_time() - self.began
        self._resting, self.began = True, None
        self._session.connection.go_on_soon()

    def settle(self) -> None:
        """End the present one; charge the client for it if it was refused."""
        if self.began is None:
            return
        if self.refused:
            spent = self._spent + time.thread_time() - self.began
            self._share.charge(self._session.principal.account, spent)
        self._proven = not self.refused
        self.began = None

    def close(self) -> None:
        """End with the connection, if it ends with the present one: that was nonsense."""
        self._share.leave(self._session.principal.account, self._session)
        self.refused = True
        if self._resting:
            self.began = time.thread_time()
        self.settle()

    def _go(self) -> None:
        self._proven = True
        self._session.resume()
