"""A hosted object's name in a real name server."""

from __future__ import annotations

import socket
import threading

import pytest

WAIT = 20.0


def test_the_name_is_there_while_it_is_ready_and_not_longer(host, names):
    """Registered with metadata before READY; removed at the end."""
    where, ns = names
    metadata = ("--metadata", "quotes", "--metadata", "lab")
    hosted = host("things:Counting", "--name", "market", "--ns", where, *metadata)
    uri = hosted.ready()
    assert hosted.status == f"registered as market in the name server at {where}"
    found, tags = ns.lookup("market", return_metadata=True)
    assert (str(found), set(tags)) == (uri, {"quotes", "lab"})
    assert hosted.ask("statistics")["answer"]["registered"] == where
    hosted.stop()
    assert "market" not in ns.list()


def test_a_name_whose_holder_answers_is_not_taken_over(host, names):
    """The second one exits with 1 and names the holder, which keeps the name, also at the end."""
    where, ns = names
    first = host("things:Counting", "--name", "market", "--ns", where)
    uri = first.ready()
    second = host("things:Counting", "--name", "market", "--ns", where)
    code, errors = second.end()
    assert code == 1
    assert f"the name market belongs to {uri}, which answers" in errors
    assert str(ns.lookup("market")) == uri


@pytest.mark.parametrize("ended", ["dead", "another program", "another object"])
def test_a_name_of_a_dead_holder_is_taken_over(host, names, ended):
    """Its holder is gone: nothing listens, or a daemon that doesn't know the object."""
    where, ns = names
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    if ended == "dead":
        ns.register("market", f"PYRO:market@localhost:{port}")
    elif ended == "another object":
        ns.register("market", f"PYRO:market@{where}")
    else:
        other = host("things:Counting", "--name", "market", "--ns", where)
        other.ready()
        other.process.kill()
        other.end()
    hosted = host("things:Counting", "--name", "market", "--ns", where)
    uri = hosted.ready()
    assert str(ns.lookup("market")) == uri
    assert "took market over" in hosted.stop()[1]


def test_a_holder_that_does_not_speak_pyro_may_be_one_with_tls(host, names):
    """A holder that can't be asked counts as alive: its name is never taken over."""
    where, ns = names
    with socket.create_server(("localhost", 0)) as strange:
        ns.register("market", f"PYRO:market@localhost:{strange.getsockname()[1]}")

        def answer():
            client, _ = strange.accept()
            with client:
                client.recv(1000)
                client.sendall(b"\x15\x03\x03\x00\x02\x02\x28")

        thread = threading.Thread(target=answer)
        thread.start()
        code, errors = host("things:Counting", "--name", "market", "--ns", where).end()
        thread.join(WAIT)
    assert (code, "belongs to" in errors) == (1, True)


def test_it_registers_again_when_the_manager_asks(host, names):
    """A restarted name server has lost the name; the answer names the server."""
    where, ns = names
    hosted = host("things:Counting", "--name", "market", "--ns", where)
    uri = hosted.ready()
    ns.remove("market")
    assert hosted.ask("register", ns=where)["answer"] == {"registered": where}
    assert str(ns.lookup("market")) == uri


def test_without_a_name_server_it_does_not_become_ready(host):
    """It exits with 1, as another try may succeed, and an error that names the address."""
    with socket.create_server(("localhost", 0)) as free:
        where = f"localhost:{free.getsockname()[1]}"
    code, errors = host("things:Counting", "--name", "market", "--ns", where).end()
    assert code == 1
    assert f"no name server answers at {where}" in errors
    assert "Traceback" not in errors


def test_a_name_server_that_never_answers_does_not_delay_the_end_for_ever(host):
    """Stopped in the middle of its registration: exit 0, after the time that it waits at most."""
    with socket.create_server(("localhost", 0)) as silent:
        where = f"localhost:{silent.getsockname()[1]}"
        hosted = host("things:Counting", "--name", "market", "--ns", where)
        with silent.accept()[0]:
            code, errors = hosted.stop()
    assert (code, "stopping: SIGTERM" in errors) == (0, True), errors
