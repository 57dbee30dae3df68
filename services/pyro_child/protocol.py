"""The child's side of the protocol between a service and the manager that started it.

Two environment variables carry it; without them everything here does nothing, so that a service
also runs alone:

* `NOTIFY_SOCKET` names a datagram socket. What is sent there is sd_notify(3): `READY=1`,
  `STATUS=…`, `STOPPING=1`, and our own `X_PYRO_URI=…`, the address of the service's main object.
* `PYROCTL_CONTROL_FD` is the number of an inherited file descriptor: one end of a Unix stream
  socketpair. The end of the stream means that the manager is gone; the service then leaves at
  once and orderly, so that nobody outlives the manager. Lines of JSON carry questions:
  `{"id": 1, "ask": "statistics"}`, with parameters as further keys, is answered by
  `{"id": 1, "answer": …}` or `{"id": 1, "error": "text"}`, in order; only what takes a service
  long is answered out of turn.

SIGTERM asks for an orderly stop, to be ended with exit code 0.
"""

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

PERMANENT_FAILURE = 125
"""The exit code by which a service says that starting it again is pointless."""

LONGEST_LINE = 1 << 20
"""Bytes; a longer question is refused."""

SEND_PATIENCE = 1.0
"""Seconds that a message may wait for a manager that doesn't read."""

Answer = Callable[[str, dict[str, object]], object]
"""Gets the ask and its parameters; gives something that JSON can carry or a `Deferred`, or raises.
"""

_log = logging.getLogger("pyro_child.protocol")


class AskRefused(Exception):
    """Raised by an `Answer` to refuse an ask; its text is what the manager gets."""


class Deferred:
    """An answer that comes later, for selector loops; belongs to the thread of the channel."""

    def __init__(self) -> None:
        self._then: Callable[[Callable[[], object]], None] | None = None

    def finish(self, outcome: Callable[[], object]) -> None:
        """Answer with what `outcome()` gives or raises; once, after the `Answer` has returned."""
        then, self._then = self._then, None
        if then is not None:
            then(outcome)

    def when_finished(self, then: Callable[[Callable[[], object]], None]) -> None:
        """Call `then` with the outcome; for the channel."""
        self._then = then


class Notifier:
    """Tells the manager about the state of this service, as sd_notify(3) does.

    `address` is a path, or an abstract socket's name after an `@`; by default that of the
    environment, and without one every method does nothing. A manager that can't be reached is
    logged and no error: the service goes on. Every method may be called from any thread.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address or os.environ.get("NOTIFY_SOCKET") or None

    def ready(self, uri: str | None = None, status: str | None = None) -> None:
        """Say that the service can serve now, at `uri` if it is a Pyro object."""
        self._send(READY="1", X_PYRO_URI=uri, STATUS=status)

    def status(self, text: str) -> None:
        """Describe the service's state in a line for people."""
        self._send(STATUS=text)

    def stopping(self) -> None:
        """Say that the service has begun to stop."""
        self._send(STOPPING="1")

    def _send(self, **fields: str | None) -> None:
        if self._address is None:
            return
        lines = [f"{key}={_one_line(value)}" for key, value in fields.items() if value is not None]
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(SEND_PATIENCE)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            _log.warning("can't tell the manager %s at %s: %s", lines, self._address, error)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


class ControlChannel:
    """The service's end of the control channel, for a selector loop or for `serve_control`.

    Owns the socket; `close` it at the end. Not for use by several threads at once, except `close`.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._incoming = b""
        self._outgoing = b""
        self._server: threading.Thread | None = None
        self.closed = False
        """Whether `close` was called here; tells that apart from a manager that left."""

    @classmethod
    def from_environment(cls) -> ControlChannel | None:
        """Take the channel that the manager passed, or give None if there is no manager.

        The variable is removed and the descriptor closes on exec, so that no program started
        from here mistakes the channel for its own, or keeps it open.
        """
        text = os.environ.pop("PYROCTL_CONTROL_FD", None)
        if text is None:
            return None
        try:
            sock = socket.socket(fileno=int(text))
        except (ValueError, OSError, OverflowError) as error:
            _log.warning("PYROCTL_CONTROL_FD=%s is no inherited socket (%s): ignored", text, error)
            return None
        sock.set_inheritable(False)
        return cls(sock)

    def fileno(self) -> int:
        """Give the descriptor to wait for: readable means `on_readable`."""
        return self._socket.fileno()

    @property
    def unsent(self) -> bool:
        """Whether answers wait for a manager that doesn't read: wait for `on_writable`, then."""
        return bool(self._outgoing)

    def on_writable(self) -> bool:
        """Send on; False once the manager is gone."""
        return self._send(b"", 0)

    def on_readable(self, answer: Answer, patience: float | None = None) -> bool:
        """Answer what has come, without waiting for more; False once the manager is gone.

        `answer` is called in this thread. If it raises `AskRefused`, the manager gets the text;
        any other exception is logged with its traceback, too. A manager that doesn't read its
        answers delays the caller by `patience` at most, in seconds, `SEND_PATIENCE` by default;
        the rest goes with the next answer, or with `on_writable`.
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
        return self._send(b"".join(replies), SEND_PATIENCE if patience is None else patience)

    def _reply(self, line: bytes, answer: Answer) -> bytes:
        """Give the reply, b"" if it comes later."""
        try:
            question = json.loads(line)
        except ValueError as error:
            return _encode({"id": None, "error": f"not a line of JSON: {error}"})
        if not isinstance(question, dict) or not isinstance(question.get("ask"), str):
            return _encode({"id": None, "error": 'not an object with an "ask"'})
        number, ask = question.pop("id", None), question.pop("ask")
        reply = _outcome(number, ask, lambda: answer(ask, question))
        later = reply.get("answer")
        if not isinstance(later, Deferred):
            return _encode(reply)
        later.when_finished(
            lambda outcome: self._send_late(_encode(_outcome(number, ask, outcome)))
        )
        return b""

    def _send_late(self, reply: bytes) -> None:
        self._send(reply, 0)

    def _send(self, data: bytes, patience: float) -> bool:
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
        """Hang up, and end the thread of `serve_control`; may be called from any thread, twice."""
        self.closed = True
        with contextlib.suppress(OSError):  # the manager hung up first
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
        if self._server is not None and self._server is not threading.current_thread():
            self._server.join(2 * SEND_PATIENCE)
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
        _log.exception("the manager's ask %r failed", ask)
        return {"id": number, "error": f"{type(error).__name__}: {error}"}


def _encode(reply: dict[str, object]) -> bytes:
    try:
        text = json.dumps(reply, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        _log.exception("an answer that JSON can't carry")
        text = json.dumps({"id": reply["id"], "error": f"{type(error).__name__}: {error}"})
    return text.encode() + b"\n"


def serve_control(
    channel: ControlChannel, answer: Answer, gone: Callable[[], None]
) -> threading.Thread:
    """Serve the channel in a thread, for programs without a selector loop of their own.

    `answer` and `gone` are called in that thread; `gone` once, when the manager is gone, and not
    when the channel was closed here. `channel.close()` ends the thread.
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
