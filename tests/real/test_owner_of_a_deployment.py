"""Root and the deployments of other users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Deployment, eventually
from tests.other_user import (
    OTHER,
    give_away,
    needs_root,
    others_can_run_pyroctl,
    run_as_other,
)

pytestmark = needs_root
TICKS = '[services.tick]\nkind = "command"\ncommand = "sleep 1000"\n'
FALSE_MANAGER = """
import contextlib, json, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("listens", flush=True)
while True:
    client, _ = server.accept()
    data = {"service": "es", "uri": "PYRO:x@localhost:1", "ident_file": "/etc/shadow"}
    reply = {"data": data, "errors": [], "exit_code": 0}
    with contextlib.suppress(OSError):
        client.recv(65536)
        client.sendall(json.dumps({"reply": reply}).encode() + b"\\n")
"""


@pytest.fixture
def others(open_deployment: Deployment) -> Deployment:
    """A deployment of the other user."""
    if not others_can_run_pyroctl():
        pytest.skip("Python is installed where other users may not go")
    give_away(open_deployment.configure(TICKS))
    give_away(open_deployment.root)
    return open_deployment


def test_root_starts_the_deployment_of_its_owner_as_that_user(others: Deployment) -> None:
    """`start` alone is refused with the remedy; with it, manager and services are the owner's."""
    for args, code in ((("start",), 4), (("config", "check"), 6)):
        refused = others.run(*args, code=code).stderr
        assert str(others.root) in refused
        assert "nobody (uid 65534)" in refused
        assert "--as-owner" in refused
    assert [path.name for path in others.root.iterdir()] == ["pyroctl.toml"]
    others.run("start", "--as-owner")
    for pid in (others.manager_pid(), others.service("tick")["pid"]):
        assert Path(f"/proc/{pid}").stat().st_uid == OTHER
    assert "HOME=/root" not in Path(f"/proc/{others.manager_pid()}/environ").read_text()
    assert others.json("status")["data"]["services"][0]["state"] == "running"
    others.run("stop")


def test_only_root_can_become_the_owner(others: Deployment) -> None:
    """Another user who asks for that is refused; for the owner it changes nothing."""
    (others.root / "pyroctl.toml").chmod(0o644)
    os.chown(others.root / "pyroctl.toml", 0, 0)
    refused = as_other(others, "status", "--as-owner")
    assert refused.returncode == 4
    assert f"only root can become the owner of {others.root}/pyroctl.toml" in refused.stderr
    give_away(others.root / "pyroctl.toml")
    assert as_other(others, "config", "check", "--as-owner").returncode == 0


def as_other(deployment: Deployment, *args: str) -> subprocess.CompletedProcess[str]:
    return run_as_other(
        [Path(sys.executable).parent / "pyroctl", *deployment.place, *args], env=deployment.env
    )


def test_root_believes_no_strangers_manager(others: Deployment) -> None:
    """Of a process that isn't the deployment owner's it takes no answer: exit 4, with its user."""
    os.chown(others.root / "pyroctl.toml", 0, 0)
    (others.root / "run").mkdir()
    give_away(others.root / "run")
    path = str(others.root / "run" / "control.sock")
    with subprocess.Popen(
        [sys.executable, "-c", FALSE_MANAGER, path], user=OTHER, group=OTHER, cwd="/",
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listens\n"
            for args in (("status",), ("es", "publish", "a", "b"), ("shutdown",)):
                refused = others.run(*args, code=4).stderr
                assert "belongs to another user, nobody (uid 65534)" in refused
        finally:
            process.kill()
    (others.root / "run" / "control.sock").unlink()


def test_which_file_has_the_identification_is_not_asked(tmp_path: Path) -> None:
    """It is read from the configuration, so no answer makes a command read another file."""
    deployment = Deployment(tmp_path)
    deployment.configure('[services.es]\nkind = "eventservice"\nport = 0\n')
    (tmp_path / "run").mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-c", FALSE_MANAGER, str(tmp_path / "run" / "control.sock")],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listens\n"
            with deployment.popen("es", "listen") as listening:
                command = Path(f"/proc/{listening.pid}/cmdline")
                eventually(lambda: b"pyro_events" in command.read_bytes())
                assert b"ident" not in command.read_bytes()
        finally:
            process.kill()
