"""`pyroctl top` in a real terminal, by tmux."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import uuid

import pytest

from tests.harness import BIN, eventually

pytest.importorskip("textual", reason="pyroctl[tui] is not installed")
pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

SIZE = ("-x", "120", "-y", "36")


class Terminal:
    """A terminal of 120 × 36 characters in which a command runs."""

    def __init__(self, deployment, *words) -> None:
        self._socket = deployment.root / f"tmux-{uuid.uuid4().hex[:8]}"  # a server of its own
        command = shlex.join([str(BIN / "pyroctl"), *deployment.place, *words])
        self._env = {**deployment.env, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self._tmux("new-session", "-d", *SIZE, f"{command}; echo EXIT STATUS $?; exec sleep 1000")

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words]
        return subprocess.run(
            command, env=self._env, check=True, capture_output=True, text=True
        ).stdout

    def text(self) -> str:
        return self._tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def until(self, wanted: str) -> str:
        seen = ""

        def there() -> bool:
            nonlocal seen
            seen = self.text()
            return wanted in seen

        eventually(there, f"{wanted!r} on the terminal")
        return seen

    def leave(self, shown: str) -> None:
        """Press Escape, and wait until that has closed what is shown."""
        self.press("Escape")
        eventually(lambda: shown not in self.text(), f"no {shown!r} on the terminal")

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def terminal(kitchen):
    opened = []

    def open_terminal(*words):
        opened.append(Terminal(kitchen, *words))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


def test_a_new_user_sees_what_lives_and_what_a_stop_costs(kitchen, terminal, subscribe):
    """Name server and event service run; a killed service is back; the stop names who loses what.

    The cost is known before anything is changed, and q leaves a usable terminal.
    """
    subscribe(kitchen)
    screen = terminal("top")
    text = screen.until("hot oven")
    rows = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert "● running" in rows["ns"]
    assert "● running" in rows["es"]
    os.kill(kitchen.service("oven")["pid"], signal.SIGKILL)
    screen.until("oven was restarted")
    screen.press("j", "x")
    text = screen.until("Stop es?")
    assert "lab.temperature" in text
    assert "Hand over instead" in text
    screen.leave("Stop es?")
    screen.press("q")
    screen.until("EXIT STATUS 0")
    assert kitchen.state("es") == "running"


def test_without_colours_and_in_ascii_nothing_else_is_drawn(terminal):
    """`--ascii --color never` draws shapes, plots and boxes with plain characters."""
    screen = terminal("top", "--ascii", "--color", "never", "--view")
    screen.until("* running")
    screen.press("?")
    text = screen.until("half_page_down")
    assert text.isascii(), text
    screen.leave("half_page_down")
    screen.press("5")
    assert screen.until("who needs whom").isascii()


def test_the_pager_gets_the_lines_and_gives_the_terminal_back(kitchen, terminal):
    """`o` opens the log in $PAGER, and the screen is back when that ends."""
    pager = kitchen.root / "pager"
    pager.write_text('#!/bin/sh\ncat > "$0.seen"; echo PAGER; read -r line < /dev/tty\n')
    pager.chmod(0o755)
    kitchen.env["PAGER"] = str(pager)
    screen = terminal("top")
    screen.until("● running")
    screen.press("3")
    screen.until("oven | hot oven")
    screen.press("o")
    screen.until("PAGER")
    assert "oven | hot oven" in (kitchen.root / "pager.seen").read_text()
    screen.press("Enter")
    screen.until("oven | hot oven")


def test_what_can_not_be_drawn_is_refused_with_one_line(kitchen):
    """Without a terminal and with --json nothing is drawn; the hint says what helps."""
    result = kitchen.run("top", code=2)
    assert result.stderr == (
        "pyroctl: top draws on a terminal\n    hint: for programs: pyroctl --root"
        f" {kitchen.root} status --watch --json\n"
    )
    assert kitchen.json("top", code=2)["errors"][0]["code"] == "usage"


def test_bad_keys_are_told_before_anything_is_drawn(kitchen, terminal):
    """A fault in top.toml is an error of the configuration, with its file."""
    keys = kitchen.root / "top.toml"
    keys.write_text("[keys]\nstops = 'x'\n")
    try:
        text = terminal("top").until("EXIT STATUS 6")
        assert "did you mean 'stop'?" in text
    finally:
        keys.unlink()


def test_a_missing_extra_is_named_in_one_line(kitchen, terminal, tmp_path):
    """Without textual the command says what to install."""
    (tmp_path / "textual.py").write_text("raise ModuleNotFoundError(name='textual')\n")
    kitchen.env["PYTHONPATH"] = str(tmp_path)
    try:
        text = terminal("top").until("EXIT STATUS 1")
        assert "top needs the package textual" in text
        assert "pip install 'pyroctl[tui]'" in text
    finally:
        del kitchen.env["PYTHONPATH"]
