"""Processes that a hosted object forks are ordinary ones: they have no part in its service."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import pytest
from Pyro5.errors import CommunicationError

from tests.harness import eventually, is_alive


@pytest.fixture(params=["thread", "multiplex"])
def hosted(host, request):
    """A service whose object forks; it stops in order, and for no other reason than the test's."""
    found = host("things:Forking", "--servertype", request.param)
    found.ready()
    with found.proxy() as proxy:
        yield proxy
        assert proxy.pid == found.process.pid
    code, errors = found.stop()
    assert (code, errors.count("stopping"), errors.count("stopping: SIGTERM")) == (0, 1, 1), errors


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("terminate", -signal.SIGTERM),
        ("kill", -signal.SIGKILL),
        (signal.SIGTERM, -signal.SIGTERM),
        (signal.SIGHUP, -signal.SIGHUP),
    ],
)
def test_a_signal_to_a_child_ends_the_child(hosted, end, code):
    """Also one that comes before the child runs its first line; the service doesn't notice."""
    assert [hosted.process(end) for _ in range(10)] == [code] * 10


def test_pools_work_and_end(hosted):
    """`Pool.terminate` and an executor's shutdown, with workers that were forked in a call."""
    assert [hosted.pool() for _ in range(3)] == [True] * 3
    assert hosted.executor()


@pytest.mark.parametrize(("how", "code"), [(None, 0), (3, 3), ("no", 1)])
def test_a_child_that_leaves_the_call_ends(hosted, how, code):
    """Returned or by sys.exit: the client gets one answer, the parent's, and stays connected."""
    assert hosted.fork(how) == code
    assert hosted.count() == 1


def test_an_own_handler_is_no_reason_to_stop(hosted):
    """The object's SIGUSR1 is its own business."""
    os.kill(hosted.pid, signal.SIGUSR1)
    assert eventually(hosted.signalled) == 1


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_children_hold_nothing_of_a_service_that_was_killed(host, servertype):
    """Its address, its clients and its manager's channel end with it, while its children live.

    That holds for a child of the constructor, too, which was forked before there was a service.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        hosted = host("things:Forking", "--servertype", servertype, listener=listener)
        hosted.ready()
    with hosted.proxy() as proxy, contextlib.ExitStack() as stack:
        children = proxy.linger()
        for pid in children:
            stack.callback(os.kill, pid, signal.SIGKILL)
        hosted.process.kill()
        hosted.process.wait()
        with pytest.raises(CommunicationError, match=r"closed|receiving"):
            proxy.count()
        assert hosted.control.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        assert all(map(is_alive, children))
        stack.pop_all()
        for pid in children:
            os.kill(pid, signal.SIGTERM)
            eventually(lambda pid=pid: not is_alive(pid))
