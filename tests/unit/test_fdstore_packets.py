"""Packets to the descriptor store that mean nothing."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.manager.fdstore.packets import receive
from pyroctl.manager.fdstore.server import _pid_of

values = st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)


@given(st.binary(min_size=1, max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_a_packet_is_a_message_or_an_error(packet: bytes) -> None:
    """Whatever arrives; the descriptors that came with an invalid one are closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - their number is enough
        socket.send_fds(theirs, [packet], [theirs.fileno()])
        received = None
        with contextlib.suppress(OSError):
            received = receive(ours)
        if received is None:
            assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same
        else:
            message, _, (descriptor,) = received
            assert isinstance(message, dict)
            os.close(descriptor)


@pytest.mark.parametrize(("name", "pid"), [("es/listen", 0), ("es/12/control", 12)])
def test_names_tell_the_process(name: str, pid: int) -> None:
    """A descriptor of a process has a name with its pid."""
    assert _pid_of(name) == pid


@pytest.mark.parametrize("name", ["es", "es/x/control", "es/-1/control", f"es/{1 << 40}/control"])
def test_names_without_meaning_are_refused(name: Any) -> None:
    """They would make no sense when the manager is gone, either."""
    with pytest.raises(ValueError):  # noqa: PT011 - int's and ours
        _pid_of(name)
