"""Requests that wait for their answers. Works with bytes, not with sockets."""

from __future__ import annotations

import threading
from typing import Any

import msgpack
from Pyro5.errors import PyroError
from Pyro5.serializers import serializers_by_id

from pyro_events._client.condition import Answer
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events.errors import OutcomeUnknown
from pyro_wire import framing


def encode_call(
    seq: int, target: str, method: str, params: Any, options: dict[str, Any] | None = None
) -> bytes:
    """Encode a call as Pyro5 does it in msgpack (Pyro5/serializers.py, MsgpackSerializer)."""
    data = msgpack.packb([target, method, params, options or {}])
    return framing.encode_frame(framing.INVOKE, framing.MSGPACK, 0, seq, data)


def outcome(frame: framing.Frame) -> tuple[Any, Exception | None]:
    """Return the value of a RESULT frame, or the exception that it carries.

    An exception that is raised comes from a signal handler, not from the frame.
    """
    if frame.serializer != framing.MSGPACK:  # don't let a stranger choose the decoder
        return None, nonsense(ValueError("it is in another serializer than the call"))
    try:
        answer = serializers_by_id[framing.MSGPACK].loads(frame.data)
    except (
        PyroError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, SyntaxError,
        msgpack.UnpackException,
    ) as error:  # fmt: skip
        return None, nonsense(error)
    if not frame.flags & framing.EXCEPTION:
        return answer, None
    if isinstance(answer, Exception):
        return None, answer
    return None, RuntimeError(f"the event service answered with {answer!r}")


def nonsense(error: Exception) -> OutcomeUnknown:
    """Return what callers get for an answer that can't be read; `error` is why."""
    reason = f"{type(error).__name__}: {error}"  # repr(error) may quote all of the answer
    return OutcomeUnknown(f"the event service's answer makes no sense: {reason}")


class Calls:
    """The calls on one connection that aren't answered yet. Any thread may use them."""

    def __init__(self, target: str = EVENTSERVICE_NAME) -> None:
        self._target = target
        self._lock = threading.RLock()  # collecting garbage may call
        self._seq = 0
        self._waiting: dict[int, Answer] = {}
        self._failure: Exception | None = None

    @property
    def pending(self) -> bool:
        """Whether an answer is due."""
        return bool(self._waiting)

    def start(
        self, method: str, params: list[Any], options: dict[str, Any] | None = None
    ) -> tuple[bytes, Answer]:
        """Return the frame to send, and the answer, which `finish` will set.

        Raises the failure if the connection has broken already.
        """
        answer = Answer()
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._seq = self._seq % 0xFFFF + 1  # 0 is for acknowledgements
            frame = encode_call(self._seq, self._target, method, params, options)
            self._waiting[self._seq] = answer
            return frame, answer

    def forget(self, answer: Answer) -> None:
        """Drop a call; its answer is ignored."""
        with self._lock:
            self._waiting = {seq: a for seq, a in self._waiting.items() if a is not answer}

    def finish(self, frame: framing.Frame) -> None:
        """Set the answer that a RESULT frame is for."""
        with self._lock:
            answer = self._waiting.get(frame.seq)
            if answer is None:
                return
            answer.set(*outcome(frame))
            del self._waiting[frame.seq]

    def fail(self, error: Exception) -> None:
        """Fail all calls, and those still to start: the connection has broken."""
        with self._lock:
            self._failure = error
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.set(None, error)
