"""Requests that wait for their answers. Knows bytes, no sockets."""

from __future__ import annotations

import threading
from typing import Any

import msgpack
from Pyro5.errors import PyroError
from Pyro5.serializers import serializers_by_id

from pyro_events._client.condition import Answer
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing


def encode_call(
    seq: int, target: str, method: str, params: Any, options: dict[str, Any] | None = None
) -> bytes:
    """Encode a call as Pyro5 does it in msgpack (Pyro5/serializers.py, MsgpackSerializer)."""
    data = msgpack.packb([target, method, params, options or {}])
    return framing.encode_frame(framing.INVOKE, framing.MSGPACK, 0, seq, data)


def outcome(frame: framing.Frame) -> tuple[Any, Exception | None]:
    """Give what a RESULT frame says, or the exception that it carries.

    What is raised instead of being given comes from a signal handler, not from the frame.
    """
    try:
        answer = serializers_by_id[frame.serializer].loads(frame.data)
    except (PyroError, ValueError, TypeError, LookupError, msgpack.UnpackException) as error:
        return None, error
    if not frame.flags & framing.EXCEPTION:
        return answer, None
    if isinstance(answer, Exception):
        return None, answer
    return None, RuntimeError(f"the event service answered with {answer!r}")


class Calls:
    """The calls on one connection that aren't answered yet. Any thread may use it."""

    def __init__(self, target: str = EVENTSERVICE_NAME) -> None:
        self._target = target
        self._lock = threading.Lock()
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
        """Give the frame to send and where its answer will be.

        Raises the failure when the connection is gone already.
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
        """Wait no longer for that one."""
        with self._lock:
            self._waiting = {seq: a for seq, a in self._waiting.items() if a is not answer}

    def finish(self, frame: framing.Frame) -> None:
        """Hand a RESULT frame to whoever waits for it."""
        with self._lock:
            answer = self._waiting.get(frame.seq)
            if answer is None:
                return
            answer.give(*outcome(frame))
            del self._waiting[frame.seq]

    def fail(self, error: Exception) -> None:
        """Fail what waits and whatever may come: the connection is gone."""
        with self._lock:
            self._failure = error
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.give(None, error)
