"""Requests that wait for their answers. Knows bytes and futures, no sockets."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import msgpack
from Pyro5.serializers import serializers_by_id

from pyro_events import wire
from pyro_events.event import EVENTSERVICE_NAME


def encode_call(
    seq: int, target: str, method: str, params: Any, options: dict[str, Any] | None = None
) -> bytes:
    """Encode a call as Pyro5 does it in msgpack (Pyro5/serializers.py, MsgpackSerializer)."""
    data = msgpack.packb([target, method, params, options or {}])
    return wire.encode_frame(wire.INVOKE, wire.MSGPACK, 0, seq, data)


def decode_answer(frame: wire.Frame) -> Any:
    """Give what a RESULT frame says; raises the exception that it carries."""
    answer = serializers_by_id[frame.serializer].loads(frame.data)
    if not frame.flags & wire.EXCEPTION:
        return answer
    if isinstance(answer, Exception):
        raise answer
    raise RuntimeError(f"the event service answered with {answer!r}")


class Calls:
    """The calls on one connection that aren't answered yet. Any thread may use it."""

    def __init__(self, target: str = EVENTSERVICE_NAME) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._seq = 0
        self._waiting: dict[int, Future[Any]] = {}
        self._failure: Exception | None = None

    @property
    def pending(self) -> bool:
        """Whether an answer is due."""
        return bool(self._waiting)

    def start(
        self, method: str, params: list[Any], options: dict[str, Any] | None = None
    ) -> tuple[bytes, Future[Any]]:
        """Give the frame to send and the future of its answer.

        Raises the failure when the connection is gone already.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._seq = self._seq % 0xFFFF + 1  # 0 is for acknowledgements
            self._waiting[self._seq] = future
            return encode_call(self._seq, self._target, method, params, options), future

    def finish(self, frame: wire.Frame) -> None:
        """Hand a RESULT frame to whoever waits for it."""
        with self._lock:
            future = self._waiting.pop(frame.seq, None)
        if future is None or not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(decode_answer(frame))
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
            future.set_exception(error)

    def fail(self, error: Exception) -> None:
        """Fail what waits and whatever may come: the connection is gone."""
        with self._lock:
            self._failure = error
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
