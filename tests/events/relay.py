"""A relay between the two processes of a handover: passes messages on up to a chosen one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from pyro_events._broker.snapshot import fd_passing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tests.events.held_service import HeldService

WORDS = ("hello", "patterns", "ready", "state", "taken")
"""The messages; before it sends `taken`, the new process serves."""


class Relay:
    """Has a new process take over from the one of `es`; `resume` completes it.

    Messages before the first `word` arrive; that one is held back.
    """

    def __init__(self, es: HeldService, word: str) -> None:
        self.es = es
        self.word = word
        assert es.ask("offer_handover", path=es.meeting_place)["offered"]
        path = es.meeting_place + "2"
        self.listener = fd_passing.make_socket()
        self.listener.bind(path)
        self.listener.listen()
        self.started = es.spawn(PYROCTL_TAKE_OVER=path)
        self.new, _ = self.listener.accept()
        self.listener.close()
        self.es.state.joinpath("handover2").unlink()
        self.old = fd_passing.make_socket()
        self.old.connect(es.meeting_place)
        for sock in (self.new, self.old):
            sock.settimeout(20)
        self.held: Callable[[], None] | None = None
        self._pass_on()

    def _pass_on(self) -> None:
        sources = {"hello": self.new, "ready": self.new, "taken": self.new}
        for word in WORDS:
            source = sources.get(word, self.old)
            target = self.old if source is self.new else self.new
            message, descriptors = fd_passing.receive(source)
            received = msgpack.unpackb(message)
            assert received[0] == word, received

            def arrive(
                target: socket.socket = target,
                message: bytes = message,
                descriptors: list[int] = descriptors,
            ) -> None:
                fd_passing.send(target, message, descriptors)
                fd_passing.close(descriptors)

            if word == self.word:
                self.held = arrive
                self.descriptors = descriptors
                return
            arrive()

    def resume(self) -> None:
        """Pass on all remaining messages."""
        assert self.held is not None
        self.held()
        rest = WORDS[WORDS.index(self.word) + 1 :]
        for word in rest:
            source = self.new if word in {"hello", "ready", "taken"} else self.old
            message, descriptors = fd_passing.receive(source)
            assert msgpack.unpackb(message)[0] == word
            fd_passing.send(self.old if source is self.new else self.new, message, descriptors)
            fd_passing.close(descriptors)
        self.close()

    def drop(self) -> None:
        """Pass on nothing more: both see the end of the connection."""
        fd_passing.close(self.descriptors)
        self.close()

    def close(self) -> None:
        for sock in (self.new, self.old):
            sock.close()

    def end_of_new(self) -> int:
        """Wait for the end of the new process; returns its exit status."""
        process, control = self.started
        status = process.wait(20)
        assert process.stdout is not None
        process.stdout.close()
        control.close()
        return status
