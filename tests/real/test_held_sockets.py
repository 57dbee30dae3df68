"""Listening sockets that the manager holds: no client is refused while a service is replaced."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.harness import BIN, eventually
from tests.real.test_main_job import PAIR, exchange, lookup

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import Deployment


def port_of(deployment: Deployment, name: str) -> int:
    return int(deployment.service(name)["uri"].rpartition(":")[2])


@contextlib.contextmanager
def knocking(*ports: int) -> Iterator[list[OSError]]:
    """Connect to the ports repeatedly; returns the refused ones."""
    refused: list[OSError] = []
    over = threading.Event()

    def knock() -> None:
        while not over.wait(0.005):
            for port in ports:
                try:
                    socket.create_connection(("127.0.0.1", port), 10).close()
                except OSError as error:
                    refused.append(error)

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield refused
    finally:
        over.set()
        thread.join(20)


def test_no_client_is_refused_while_services_restart_or_crash(deployment: Deployment) -> None:
    """Connections are never refused, on the same ports, even chosen ones; after a stop they are."""
    deployment.configure(PAIR)
    deployment.run("start")
    names = ("ns", "es")
    ports = [port_of(deployment, name) for name in names]
    with knocking(*ports) as refused:
        deployment.run("restart", "ns", "es")
        for count in (1, 2):
            for name in names:
                os.kill(deployment.service(name)["pid"], signal.SIGKILL)
            eventually(
                lambda count=count: all(
                    (row := deployment.service(name))["state"] == "running"
                    and row["restarts"] == count
                    for name in names
                )
            )
    assert refused == []
    assert [port_of(deployment, name) for name in names] == ports
    exchange(lookup(deployment))
    deployment.run("stop")
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)


def test_clients_wait_for_a_service_that_is_backing_off(deployment: Deployment) -> None:
    """The socket listens while nothing runs; the next process serves the waiting clients."""
    deployment.configure(PAIR.replace("restart_delay = 0", "restart_delay = 1000\n"
                                      "restart_max_delay = 1000"))  # fmt: skip
    deployment.run("start")
    uri = deployment.service("es")["uri"]
    os.kill(deployment.service("es")["pid"], signal.SIGKILL)
    eventually(lambda: deployment.state("es") == "backoff")
    served = threading.Thread(target=exchange, args=(uri,))
    served.start()
    deployment.run("start", "es")
    served.join(20)
    assert not served.is_alive()


def test_a_unix_socket_is_held_as_well(deployment: Deployment) -> None:
    """The file stays over a restart and a crash, and is removed by a stop."""
    path = deployment.root / "es.sock"
    deployment.configure(PAIR.replace('"eventservice"', '"eventservice"\nhost = "./u:es.sock"'))
    deployment.run("start")
    file = path.stat().st_ino
    deployment.run("restart", "es")
    os.kill(deployment.service("es")["pid"], signal.SIGKILL)
    eventually(lambda: (r := deployment.service("es"))["state"] == "running" and r["restarts"])
    assert path.stat().st_ino == file
    exchange(f"PYRO:Pyro.EventService@./u:{path}")
    deployment.run("stop", "es")
    assert not path.exists()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "0.0.0.0"])
def test_the_host_may_have_any_form(deployment: Deployment, host: str) -> None:
    """Both kinds of service can be reached by name, IPv4, IPv6 and the wildcard address."""
    key = f'port = 0\nhost = "{host}"'
    deployment.configure(
        PAIR.replace("port = 0", key).replace('"eventservice"', f'"eventservice"\n{key}')
    )
    deployment.run("start")
    for name, server in (("ns", "Pyro.NameServer"), ("es", "Pyro.EventService")):
        uri = deployment.service(name)["uri"]
        assert uri.startswith(f"PYRO:{server}@")
        if host != "0.0.0.0":
            assert f"[{host}]" in uri if ":" in host else host in uri
        client = host if ":" in host else "127.0.0.1"
        with socket.create_connection((client, port_of(deployment, name)), 5):
            pass


def test_no_other_child_inherits_a_socket(deployment: Deployment) -> None:
    """A command that starts while sockets are held has three descriptors, and isn't told of any."""
    script = "import os; print('MINE', os.listdir('/proc/self/fd'), *sorted(os.environ))"
    deployment.configure(
        PAIR + '[services.x]\nkind = "command"\nneeds = ["es"]\nrestart = "never"\n'
        f'ready = {{ log = "MINE" }}\ncommand = ["python", "-c", "{script}"]\n'
    )
    deployment.run("start", "x")
    (output,) = (s for s in deployment.run("logs", "x").stdout.splitlines() if "MINE" in s)
    assert "['0', '1', '2', '3']" in output, "3 is the directory that it lists"
    assert "LISTEN_" not in output


def test_a_port_that_becomes_free_is_taken_by_the_next_try(deployment: Deployment) -> None:
    """A taken port is reported like other failures, and tried again as the policy says."""
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        deployment.configure(
            f'[services.ns]\nkind = "nameserver"\nport = {port}\nrestart_delay = 0.1\n'
            "restart_max_delay = 0.1\nstart_limit = 1000\n"
        )
        with deployment.popen("run"):
            eventually(deployment.listens)
            detail = eventually(lambda: deployment.service("ns")["detail"])
            assert f"port {port} on localhost is taken by another program" in detail
            taken.close()
            eventually(lambda: deployment.state("ns") == "running")
            assert deployment.service("ns")["pid"]
            deployment.run("shutdown")


PASS_ON = """
import os, socket, sys
sock = socket.create_server(("localhost", 0))
print(sock.getsockname()[1], flush=True)
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="ns")
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_socket_that_systemd_holds_is_used(deployment: Deployment, tmp_path: Path) -> None:
    """A socket with a service's name is used, also after a stop, as it isn't the manager's own."""
    deployment.configure('[services.ns]\nkind = "nameserver"\nport = 1\n')
    with subprocess.Popen(
        [sys.executable, "-c", PASS_ON, BIN / "pyroctl", "--root", deployment.root, "run"],
        env=deployment.env,
        cwd=deployment.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as manager:
        assert manager.stdout is not None
        try:
            port = int(manager.stdout.readline())
            eventually(deployment.listens)
            eventually(lambda: deployment.state("ns") == "running")
            assert port_of(deployment, "ns") == port
            deployment.run("stop")
            with socket.create_connection(("localhost", port), 5):
                deployment.run("start")
            assert port_of(deployment, "ns") == port
        finally:
            deployment.run("shutdown")
            manager.communicate(timeout=20)
