"""Output without a newline: prompts and progress bars in `pyroctl logs -f`."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness import BIN, DEADLINE, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Deployment

SCRIPT = """
wait_for() { mkfifo $1; read x < $1; }
case $1 in
asker)
    printf 'name? '; wait_for one; echo me
    printf '\\r1 %%'; wait_for two; printf '\\r2 %%'; wait_for three; echo;;
other)
    wait_for four; echo other;;
esac
exec sleep 1000
"""
SERVICE = """
[services.{0}]
kind = "command"
command = ["sh", "script", "{0}"]
ready = {{ delay = 0.1 }}
"""


class Follower:
    """`logs -f` on a terminal or a pipe, and what it has printed so far."""

    def __init__(self, deployment: Deployment, *args: str, terminal: bool) -> None:
        self._ours, theirs = pty.openpty() if terminal else os.pipe()
        self._process = subprocess.Popen(
            [BIN / "pyroctl", "--root", deployment.root, "logs", "-f", *args],
            env=deployment.env, stdin=subprocess.DEVNULL, stdout=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._printed = b""

    def printed(self) -> str:
        with contextlib.suppress(BlockingIOError, OSError):
            self._printed += os.read(self._ours, 65536)
        return self._printed.decode()

    def shows(self, text: str) -> None:
        eventually(lambda: text in self.printed(), text)

    def terminate(self) -> int:
        """End it by SIGTERM, and return what subprocess calls its return code."""
        self._process.terminate()
        return self._process.wait(DEADLINE)

    def close(self) -> None:
        os.close(self._ours)
        self._process.send_signal(signal.SIGINT)
        self._process.wait(DEADLINE)


def go_on(root: Path, name: str) -> None:
    """Continue a service that waits, or will wait, at a named pipe."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # it does not wait there yet
            descriptor = os.open(root / name, os.O_WRONLY | os.O_NONBLOCK)
            os.write(descriptor, b"\n")
            os.close(descriptor)
            return
        time.sleep(0.01)
    raise AssertionError(name)


@pytest.fixture
def root(deployment: Deployment) -> Path:
    (deployment.root / "script").write_text(SCRIPT)
    deployment.configure(SERVICE.format("asker") + SERVICE.format("other"))
    deployment.run("start")
    return deployment.root


def test_a_pipe_has_a_prompt_after_a_moment_and_each_line_once(
    deployment: Deployment, root: Path
) -> None:
    """The rest of a line continues it, and the bytes are those of the service."""
    with contextlib.closing(Follower(deployment, "-n0", "asker", terminal=False)) as follower:
        follower.shows(" name? ")
        go_on(root, "one")
        follower.shows(" name? me\n")
        follower.shows(" \r1 %")
        go_on(root, "two")
        follower.shows(" \r1 %\r2 %")
        go_on(root, "three")
        follower.shows(" \r1 %\r2 %\n")
        assert follower.printed().count("\n") == 2


def test_a_line_of_another_service_does_not_corrupt_one_that_was_begun(
    deployment: Deployment, root: Path
) -> None:
    """On a pipe, the prompt that was cut off is shown again as a whole when it is complete."""
    with contextlib.closing(Follower(deployment, "-n0", terminal=False)) as follower:
        follower.shows(" name? ")
        go_on(root, "four")
        follower.shows("| other\n")
        go_on(root, "one")
        follower.shows("| name? me\n")
        labelled = [line.partition(" ")[2] for line in follower.printed().split("\n")]
        assert labelled[:3] == ["asker | name? ", "other | other", "asker | name? me"]


def test_a_terminal_shows_the_latest_progress_in_one_line(
    deployment: Deployment, root: Path
) -> None:
    """What is unfinished is replaced in place; the complete line is printable."""
    with contextlib.closing(Follower(deployment, "-n0", "asker", terminal=True)) as follower:
        follower.shows(" name? ")
        go_on(root, "one")
        follower.shows("name? me\r\n")
        follower.shows("1 %")
        go_on(root, "two")
        follower.shows("2 %")
        assert "1 %2 %" not in follower.printed()
        go_on(root, "three")
        follower.shows("\\r1 %\\r2 %\r\n")
        last_screen_line = follower.printed().split("\r\n")[-2].rpartition("\r\x1b[K")[2]
        assert last_screen_line.endswith("\\r1 %\\r2 %")


@pytest.mark.parametrize("terminal", [False, True])
def test_sigterm_ends_a_line_that_was_begun(
    deployment: Deployment, root: Path, terminal: bool
) -> None:
    """What a shell prints next is in a line of its own."""
    deployment.run("start", "asker")
    with contextlib.closing(Follower(deployment, "asker", terminal=terminal)) as follower:
        follower.shows("name? ")
        assert follower.terminate() == -signal.SIGTERM
        assert follower.printed().endswith("name? \r\n" if terminal else "name? \n")


def test_json_has_complete_lines_only(deployment: Deployment, root: Path) -> None:
    """Each is one object."""
    with contextlib.closing(Follower(deployment, "asker", "--json", terminal=False)) as follower:
        for name in ("one", "two", "three"):
            go_on(root, name)
        follower.shows("2 %")
        texts = [json.loads(line)["text"] for line in follower.printed().splitlines()]
        assert [text for text in texts if not text.startswith("[pyroctl]")] == [
            "name? me",
            "\r1 %\r2 %",
        ]
