"""What `pyroctl run` prints: each thing once, and on a terminal a colour for each service."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.harness import BIN, DEADLINE, eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

SERVICES = """
[services.a]
kind = "command"
command = ["sh", "-c", "echo hello; exec sleep 1000"]
ready = { log = "hello" }
[services.failing]
kind = "command"
command = ["sh", "-c", "echo oops; exit 3"]
needs = ["a"]
restart = "never"
"""
EXPECTED = {
    "a       | [pyroctl] starting",
    "a       | hello",
    "a       | [pyroctl] running",
    "a       | [pyroctl] stopping: stop requested",
    "a       | [pyroctl] stopped",
    "failing | [pyroctl] starting",
    "failing | oops",
    "failing | [pyroctl] failed: exit code 3: oops",
    "failing | [pyroctl] stopped",
}


def run(deployment: Deployment, *args: str, terminal: bool) -> str:
    """Return what `run` prints until one service has failed and it is interrupted."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [BIN / "pyroctl", "--root", deployment.root, *args],
        env=deployment.env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)
    printed = b""

    def has(text: bytes) -> bool:
        nonlocal printed
        with contextlib.suppress(BlockingIOError):
            printed += os.read(ours, 65536)
        return text in printed

    try:
        eventually(lambda: has(b"[pyroctl] failed"), "failed")
        process.send_signal(signal.SIGINT)
        eventually(lambda: has(b"everything is stopped"), "stopped")
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        os.close(ours)
    return printed.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("terminal", [True, False])
def test_each_thing_is_printed_once(deployment: Deployment, terminal: bool) -> None:
    """States stand in the output of their service, in order; the manager reports the rest."""
    deployment.configure(SERVICES)
    printed = run(deployment, "run", "--logs", terminal=terminal)
    styles = set(re.findall(r"\x1b\[(\d+)m(?:a|failing) +\| \x1b\[0m", printed))
    assert len(styles) == (2 if terminal else 0)
    assert ("\x1b" in printed) is terminal
    lines = re.sub(r"\x1b\[\d+m", "", printed).splitlines()
    services = [line for line in lines if " | " in line]
    assert (len(services), set(services)) == (len(EXPECTED), EXPECTED)
    assert services.index("a       | hello") < services.index("a       | [pyroctl] running")
    rest = [line.partition(" INFO ")[2].partition(" ")[0] for line in lines if " | " not in line]
    assert rest == ["managing", "stop", "everything"]


def test_without_the_output_the_manager_reports_the_states(deployment: Deployment) -> None:
    """So a log of the manager alone is complete."""
    deployment.configure(SERVICES)
    with deployment.popen("run", "--no-logs") as process:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("failing") == "failed")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert out == ""
    states = re.findall(r"(?:INFO|WARNING) (a|failing) is (\w+)", err)
    assert sorted(states) == sorted(
        [
            *(("a", state) for state in ("starting", "running", "stopping", "stopped")),
            *(("failing", state) for state in ("starting", "failed", "stopped")),
        ]
    )
