"""The service's end of the control channel, over which the manager asks; see `pyro_child`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable

from pyro_child.notifier import SEND_TIMEOUT

LONGEST_LINE = 1 << 20
"""Bytes; a longer request is refused."""

Answer = Callable[[str, dict[str, object]], object]
"""Takes a request and its parameters; returns a value for JSON or a `Deferred`, or raises."""

_log = logging.getLogger("pyro_child")


class AskRefused(Exception):
    """Raised by an `Answer` to refuse a request; the manager receives its text."""


class Deferred:
    """An answer that follows later, for selector loops. Belongs to the channel's thread."""

    def __init__(self) -> None:
        self._then: Callable[[Callable[[], object]], object] | None = None

    def finish(self, outcome: Callable[[], object]) -> None:
        """Answer with what `outcome()` returns or raises; once, after the `Answer` has returned."""
        then, self._then = self._then, None
        if then is not None:
            then(outcome)

    def when_finished(self, then: Callable[[Callable[[], object]], object]) -> None:
        """Call `then` with the outcome; for the channel."""
        self._then = then


class ControlChannel:
    """The service's end of the control channel, for a selector loop or for `serve_control`.

    Owns the socket until `close`. That, `report` and `await_writable` may be called by any thread.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._incoming = b""
        self._outgoing = b""
        self._sending = threading.Lock()
        self._server: threading.Thread | None = None
        self.closed = False
        """Whether `close` was called here, and the manager didn't leave."""

    @classmethod
    def from_environment(cls) -> ControlChannel | None:
        """Return the channel that the manager passed on, or None if there is no manager.

        The variable is removed and the descriptor is closed on exec, so that no program started
        from here takes the channel for its own or keeps it open.
        """
        text = os.environ.pop("PYROCTL_CONTROL_FD", None)
        if text is None:
            return None
        try:
            sock = socket.socket(fileno=int(text))
        except (ValueError, OSError, OverflowError) as error:
            _log.warning("PYROCTL_CONTROL_FD=%s is not an inherited socket: %s", text, error)
            return None
        sock.set_inheritable(False)
        return cls(sock)

    def fileno(self) -> int:
        """Return the descriptor to wait for: when it is readable, call `on_readable`."""
        return self._socket.fileno()

    @property
    def unsent(self) -> bool:
        """Whether answers wait for a manager that doesn't read; then wait to call `on_writable`."""
        return bool(self._outgoing)

    def on_writable(self) -> bool:
        """Continue to send; return False once the manager is gone."""
        return self._send(b"", 0)

    def on_readable(self, answer: Answer, patience: float | None = None) -> bool:
        """Answer the requests that have arrived; return False once the manager is gone.

        `answer` is called in this thread. If it raises `AskRefused`, the manager receives the
        text; any other exception is also logged with its traceback. A manager that doesn't read
        its answers delays the caller by at most `patience` seconds, `SEND_TIMEOUT` by default;
        the rest is sent with the next answer, or by `on_writable`.
        """
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:  # reset by a manager that was killed, or closed here
            return False
        if not data:
            return False
        *lines, self._incoming = (self._incoming + data).split(b"\n")
        replies = [self._reply(line, answer) for line in lines if line.strip()]
        if len(self._incoming) > LONGEST_LINE:
            self._incoming = b""
            text = f"a line longer than {LONGEST_LINE} bytes"
            replies.append(_encode({"id": None, "error": text}))
        return self._send(b"".join(replies), SEND_TIMEOUT if patience is None else patience)

    def report(self, subject: str, **content: object) -> bool:
        """Send the manager something that it hasn't asked for; any thread, never waits.

        Return False if the manager has to read first; then nothing was sent: see `await_writable`.
        """
        line = json.dumps({"report": subject, **content}, separators=(",", ":")).encode() + b"\n"
        with self._sending:
            if self._send_now(b"", 0):  # else the manager is gone: there is nobody to tell
                if self._outgoing:
                    return False
                self._send_now(line, 0)
            return True

    def await_writable(self) -> bool:
        """Wait until the manager reads; return False once the channel is closed here."""
        if not self.closed:
            with contextlib.suppress(ValueError):  # closed just now
                _wait(self._socket, select.POLLOUT, None)
        return not self.closed

    def _reply(self, line: bytes, answer: Answer) -> bytes:
        """Return the reply, b"" if it follows later."""
        try:
            request = json.loads(line)
        except ValueError as error:
            return _encode({"id": None, "error": f"not a line of JSON: {error}"})
        if not isinstance(request, dict) or not isinstance(request.get("ask"), str):
            return _encode({"id": None, "error": 'not an object with an "ask"'})
        number, ask = request.pop("id", None), request.pop("ask")
        reply = _outcome(number, ask, lambda: answer(ask, request))
        later = reply.get("answer")
        if not isinstance(later, Deferred):
            return _encode(reply)
        later.when_finished(lambda outcome: self._send(_encode(_outcome(number, ask, outcome)), 0))
        return b""

    def _send(self, data: bytes, patience: float) -> bool:
        with self._sending:
            return self._send_now(data, patience)

    def _send_now(self, data: bytes, patience: float) -> bool:
        self._outgoing += data
        deadline = time.monotonic() + patience
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    if patience:
                        _log.warning("the manager leaves %d bytes unread", len(self._outgoing))
                    break
                _wait(self._socket, select.POLLOUT, left)
            except OSError:
                return False
            else:
                self._outgoing = self._outgoing[sent:]
        return True

    def close(self) -> None:
        """Close the channel and end the thread of `serve_control`; from any thread, also twice."""
        self.closed = True
        with contextlib.suppress(OSError):  # the manager hung up first
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
        if self._server is not None and self._server is not threading.current_thread():
            self._server.join(2 * SEND_TIMEOUT)
        self._socket.close()

    def abandon(self) -> None:
        """Leave the channel to the parent; for a forked child."""
        self.closed = True
        self._socket.close()


def _wait(what: socket.socket | ControlChannel, events: int, seconds: float | None) -> None:
    poll = select.poll()  # select() refuses descriptors from 1024 on
    poll.register(what, events)
    poll.poll(None if seconds is None else seconds * 1000)


def _outcome(number: object, ask: str, answer: Callable[[], object]) -> dict[str, object]:
    try:
        return {"id": number, "answer": answer()}
    except AskRefused as refusal:
        return {"id": number, "error": str(refusal)}
    except Exception as error:  # noqa: BLE001 - whatever it is, the manager waits for a reply
        _log.exception("the manager's request %r failed", ask)
        return {"id": number, "error": f"{type(error).__name__}: {error}"}


def _encode(reply: dict[str, object]) -> bytes:
    try:
        text = json.dumps(reply, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        _log.exception("can't encode an answer as JSON")
        text = json.dumps({"id": reply["id"], "error": f"{type(error).__name__}: {error}"})
    return text.encode() + b"\n"


def serve_control(
    channel: ControlChannel, answer: Answer, gone: Callable[[], None]
) -> threading.Thread:
    """Serve the channel in a thread, for programs without a selector loop of their own.

    `answer` and `gone` are called in that thread; `gone` once, when the manager is gone, but not
    when the channel is closed here. `channel.close()` ends the thread.
    """

    def serve() -> None:
        while True:
            _wait(channel, select.POLLIN, None)
            if not channel.on_readable(answer):
                break
        if not channel.closed:
            gone()

    thread = threading.Thread(target=serve, name="control", daemon=True)
    channel._server = thread  # noqa: SLF001 - close() has to end it
    thread.start()
    return thread
