"""A port that is taken: the error names who has it, and what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from pyroctl.manager.process import listeners, port_owner
from tests.harness import Deployment, eventually

if TYPE_CHECKING:
    from pathlib import Path

LISTENER = """
import socket, sys, time
sock = socket.create_server(("127.0.0.1", 0))
print(sock.getsockname()[1], flush=True)
time.sleep(600)
"""


def name_server(port: int) -> str:
    return f'[services.ns]\nkind = "nameserver"\nport = {port}\nrestart = "never"\n'


def test_another_program_is_named_with_pid_and_command(deployment: Deployment) -> None:
    """The pid and the command line are those of the program that listens."""
    words = [sys.executable, "-c", LISTENER, "my listener"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            port = int(other.stdout.readline())
            deployment.configure(name_server(port))
            error = deployment.run("start", code=1).stderr
        finally:
            other.kill()
    assert f"port {port} on localhost is taken by another program (pid {other.pid}: " in error
    assert sys.executable in error
    assert "stop that program, or choose another port: set port of ns (0: any free one)" in error


def test_what_the_error_proposes_works(deployment: Deployment) -> None:
    """With a file: the key and a reload. Without one: a variable for the next manager."""
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        deployment.configure(name_server(port).replace('restart = "never"', "restart_delay = 0.1"))
        error = deployment.run("start", code=1).stderr
        assert "set port of ns (0: any free one), then pyroctl reload" in error
        deployment.configure(name_server(0))
        deployment.run("reload")
        eventually(lambda: deployment.state("ns") == "running")
        deployment.run("shutdown")
        (deployment.root / "pyroctl.toml").unlink()
        deployment.env["PYROCTL_SERVICES_NS_PORT"] = str(port)
        error = deployment.run("start", code=1).stderr
        assert "pyroctl shutdown, then PYROCTL_SERVICES_NS_PORT=0 pyroctl start" in error
        deployment.run("shutdown")
        deployment.env["PYROCTL_SERVICES_NS_PORT"] = "0"
        deployment.run("start")
        assert deployment.state("ns") == "running"


def test_another_deployment_is_named_with_the_command_that_shows_it(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Its name, its manager's pid, and how to address it."""
    deployment.env["XDG_STATE_HOME"] = str(tmp_path / "state")
    root = tmp_path / "the other"
    root.mkdir()
    other = Deployment(root)
    other.env["XDG_STATE_HOME"] = deployment.env["XDG_STATE_HOME"]
    other.configure('[manager]\nname = "lab"\n' + name_server(0))
    try:
        other.run("start")
        port = int(other.service("ns")["uri"].rpartition(":")[2])
        deployment.configure(name_server(port))
        error = deployment.run("start", code=1).stderr
        pid = other.manager_pid()
    finally:
        other.close()
    assert (
        f"taken by the pyroctl deployment lab (pid {pid}: pyroctl --root '{root}' status)" in error
    )


def test_the_port_of_the_name_server_is_also_that_of_prometheus(
    monkeypatch, tmp_path: Path
) -> None:
    """A program that can't be seen is one of another user; nobody is invented."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(listeners, "TCP_TABLES", [tmp_path / "tcp"])
    line = f"0: 0100007F:{9090:04X} 00000000:0000 0A 0:0 0:0 0 {os.getuid()} 0 0 1\n"
    (tmp_path / "tcp").write_text(f"head\n{line}")
    said = port_owner.describe(9090)
    assert said.startswith("another program (of user ")
    assert said.endswith("; it is Prometheus's default port, too")
    assert port_owner.describe(9091) == "another program"


def test_a_socket_of_our_own_is_not_called_another_program() -> None:
    """The manager itself holds the sockets of its services."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert port_owner.describe(sock.getsockname()[1]) == "another service of this deployment"
