"""The manager remembers the configuration that was checked, and never believes another one."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from pyroctl.config.memory.memory import NAME
from tests.harness import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Deployment

TOML = """
[services.worker]
kind = "command"
command = ["sh", "-c", "echo level $LEVEL; exec sleep {seconds}"]
env_file = ["worker.env"]
ready = {{ log = "level" }}
"""


def start(deployment: Deployment, level: str) -> None:
    """Start, find the level in the log, and stop again."""
    deployment.run("start")
    lines = (deployment.root / "logs" / "worker.log").read_text().splitlines()
    assert [line.split()[-1] for line in lines if "level" in line][-1] == level
    deployment.run("shutdown")


@pytest.mark.timeout(180)
def test_each_start_uses_what_is_in_the_files(deployment: Deployment, tmp_path: Path) -> None:
    """Remembered, changed, damaged, wrong: what counts is what a check would find."""
    remembered = tmp_path / "state" / NAME
    environment = tmp_path / "worker.env"
    environment.write_text("LEVEL=1\n")
    deployment.configure(TOML.format(seconds=1000))
    start(deployment, "1")
    assert remembered.stat().st_mode & 0o777 == 0o600
    first = remembered.stat().st_ino
    start(deployment, "1")
    assert remembered.stat().st_ino == first  # it was not checked again
    environment.write_text("LEVEL=2\n")
    start(deployment, "2")
    second = remembered.stat().st_ino
    assert second != first
    content = remembered.read_bytes()
    remembered.write_bytes(content.replace(b"level", b"devil"))
    start(deployment, "2")
    assert remembered.read_bytes() == content
    deployment.configure(TOML.format(seconds=1000) + "port = 1\n")
    assert "unknown key" in deployment.run("start", code=6).stderr
    assert remembered.read_bytes() == content


@pytest.mark.timeout(120)
def test_a_reload_and_run_remember_too(deployment: Deployment, tmp_path: Path) -> None:
    """What a reload has checked is known to the next manager, also to one in the foreground."""
    remembered = tmp_path / "state" / NAME
    (tmp_path / "worker.env").write_text("LEVEL=1\n")
    deployment.configure(TOML.format(seconds=1000))
    deployment.run("start")
    first = remembered.stat().st_ino
    deployment.configure(TOML.format(seconds=2000))
    deployment.run("reload")
    second = remembered.stat().st_ino
    assert second != first
    deployment.run("shutdown")
    with deployment.popen("run") as foreground:
        eventually(lambda: deployment.state("worker") == "running")
        assert any("sleep 2000" in command for command in deployment.processes().values())
        foreground.send_signal(signal.SIGTERM)
        foreground.communicate(timeout=50)
        assert foreground.returncode == 0
    assert remembered.stat().st_ino == second
