"""Output on pipes, terminals and broken streams: what arrives, and what never does."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyroctl.cli.styles import in_style, shown
from pyroctl.printable import log_text, printable
from tests.harness import BIN
from tests.real.test_start_and_stop import service
from tests.real.test_warnings import on_a_terminal

if TYPE_CHECKING:
    from tests.harness import Deployment

HOSTILE = r"a\033[2Jb\rc\033]0;owned\007d\ttab"
"""As printf(1) writes it: erase the screen, return to the first column, set the window's title."""
CONTROLS = re.compile("[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202e]|\x1b(?!\\[[0-9]*m)")
"""All control characters except newlines, and all escape sequences except styles."""


def shell(deployment: Deployment, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `pyroctl` is the installed command, without a terminal."""
    env = deployment.env | {"PATH": f"{BIN}:{deployment.env['PATH']}"}
    return subprocess.run(
        ["bash", "-c", line],
        env=env | {"PYROCTL_ROOT": str(deployment.root)},
        cwd=deployment.root,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=50,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_nothing_from_outside_moves_the_cursor() -> None:
    """Texts are escaped as in Python, and only the program's own styles become sequences."""
    assert printable("a\nb\x1b[2J\x9b31m\u202e\udcff") == r"a\nb\x1b[2J\x9b31m\u202e\udcff"
    assert shown(f"{in_style('up', '32')} \x1b[31m") == "\x1b[32mup\x1b[0m \\x1b[31m"
    assert shown(f"{in_style(chr(27), '32')} \ufdd032m") == "\x1b[32m\\x1b\x1b[0m \\ufdd032m"
    assert log_text("\x1b[1;31mred\x1b[0m\tand\x07\rb\r") == "red\tand\\x07\\rb"


def test_a_follower_on_a_pipe_has_each_line_at_once(deployment: Deployment) -> None:
    """`logs -f | grep` prints while the services write, and ends with its reader."""
    deployment.configure(
        '[services.feed]\nkind = "command"\n'
        'command = ["sh", "-c", "while :; do echo tick; sleep 0.1; done"]\n'
        '[services.once]\nkind = "command"\ncommand = ["sh", "-c", "echo one; exec sleep 1000"]'
    )
    deployment.run("start")
    grep = "pyroctl logs -f feed | grep --line-buffered tick | head -n 2; echo ${PIPESTATUS[0]}"
    *ticks, code = shell(deployment, grep).stdout.splitlines()
    assert ([line.split()[-1] for line in ticks], code) == (["tick", "tick"], "0")
    # Nothing more will be written: it is the closed pipe that ends the command.
    done = shell(deployment, "pyroctl logs -f once | head -n 1 > first; echo ${PIPESTATUS[*]}")
    assert (done.stdout, done.stderr) == ("0 0\n", "")
    assert shell(deployment, "pyroctl --help | true; echo ${PIPESTATUS[0]}").stdout == "0\n"


def test_logs_are_as_in_the_file_on_a_pipe_and_printable_on_a_terminal(
    deployment: Deployment,
) -> None:
    """A pipe gets every byte; on a terminal a line stays one line and sends no sequence."""
    script = f"printf '{HOSTILE}\\n'; exec sleep 1000".replace("\\", "\\\\")
    deployment.configure(
        '[services.feed]\nkind = "command"\nready = { log = "tab" }\n'
        f'command = ["sh", "-c", "{script}"]'
    )
    deployment.run("start")
    raw = "a\x1b[2Jb\rc\x1b]0;owned\x07d\ttab"
    (line,) = [x for x in deployment.json("logs", "feed")["data"]["lines"] if "owned" in x["text"]]
    assert line["text"] == raw
    piped = subprocess.run(
        [BIN / "pyroctl", "--root", deployment.root, "logs", "feed"],
        env=deployment.env,
        capture_output=True,
        check=True,
    ).stdout
    assert raw.encode() in piped
    code, on_screen = on_a_terminal(deployment, "", "logs", "feed")
    assert code == 0
    assert r"a\x1b[2Jb\rc\x1b]0;owned\x07d" in on_screen
    assert not CONTROLS.search(on_screen.replace("\r\n", "\n").replace("\t", " "))


def test_a_status_text_is_one_printable_line(deployment: Deployment) -> None:
    """What a service says about itself neither adds a row nor sends an escape sequence."""
    text = "READY=1\nSTATUS=homing\x1b[31m\x1b]0;x\x07\u202e"
    program = (
        "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
        "s.connect(os.environ['NOTIFY_SOCKET']);"
        f"s.send({text!a}.encode()); time.sleep(1000)"
    )
    deployment.configure(
        f'[services.stage]\nkind = "command"\nready = "notify"\n'
        f"command = {json.dumps(['python', '-c', program])}"
    )
    deployment.run("start")
    for args in (["status"], ["status", "stage"], ["status", "--tree"]):
        text = deployment.run(*args, "--color", "always").stdout
        assert not CONTROLS.search(text), text
        assert "\x1b[31m" not in text
    assert "homing" in deployment.run("status").stdout


def test_words_of_a_command_line_are_shown_printable(deployment: Deployment) -> None:
    """An error that quotes a strange word is one line."""
    error = deployment.run("status", "a\nb\x1b[2J", code=4).stderr
    assert error.splitlines()[0] == r"pyroctl: no service named 'a\nb\x1b[2J'"
    assert len(error.splitlines()) == 2


def test_shown_commands_can_be_pasted(deployment: Deployment) -> None:
    """The options that select the deployment are quoted for the shell."""
    deployment.root = deployment.root / "my $root; it's"
    deployment.root.mkdir()
    deployment.place = ["--root", str(deployment.root)]
    path = deployment.configure('[services.s]\nkind = "command"\ncommand = "sleep 600"\n')
    said = deployment.run("-c", str(path), "start").stderr
    command = said.partition("logs: ")[2].splitlines()[0].replace(" -f ", " ")
    assert shlex.split(command) == [
        *("pyroctl", "--root", str(deployment.root), "-c", str(path), "logs", "s")
    ]
    done = subprocess.run(
        command, shell=True, env=deployment.env | {"PATH": f"{BIN}:{deployment.env['PATH']}"},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0
    hint = deployment.run("-c", str(path), "status", "t", code=4)
    assert "Traceback" not in hint.stderr


def test_closed_streams_change_no_exit_status(deployment: Deployment) -> None:
    """Without standard streams, commands work as with /dev/null."""
    deployment.configure('[services.s]\nkind = "command"\ncommand = "sleep 600"\n')
    steps = [
        *((3, "status"), (0, "config show"), (0, "--help"), (0, "start"), (0, "status")),
        *((0, "status --json"), (0, "logs s"), (5, "start t"), (0, "reload"), (0, "shutdown")),
    ]
    for code, words in steps:
        done = shell(deployment, f"pyroctl {words} >&-")
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), (words, done.stderr)
    for closed in ("<&- >&- 2>&-", "2>&-", "<&-"):
        for code, words in ((0, "start"), (0, "status --json"), (0, "shutdown")):
            done = shell(deployment, f"pyroctl {words} {closed}")
            assert done.returncode == code, (words, closed, done)
    assert "cannot write" not in deployment.manager_log()


@pytest.mark.parametrize("words", ["status", "status --json", "--help", "config show", "init x"])
def test_a_full_device_is_one_line(deployment: Deployment, words: str) -> None:
    """What can't be written is an error with exit status 1, with --json, too."""
    done = shell(deployment, f"pyroctl {words} >/dev/full")
    lines = [line for line in done.stderr.splitlines() if "next:" not in line]
    assert lines == ["pyroctl: cannot write to standard output: No space left on device"]
    assert done.returncode == 1


def test_a_full_or_closed_standard_error_ends_nothing(deployment: Deployment) -> None:
    """Progress that nobody can read is dropped; the command does its work."""
    deployment.configure(service("laser", "gate", "/"))
    assert shell(deployment, "pyroctl start 2>/dev/full").returncode == 0
    done = shell(deployment, "pyroctl restart laser 2>&1 >/dev/null | true; echo ${PIPESTATUS[0]}")
    assert done.stdout == "0\n"
    assert deployment.state("laser") == "running"


@pytest.mark.parametrize(
    "setting", ["LC_ALL=C", "PYTHONIOENCODING=ascii", "LANG=de_DE PYTHONIOENCODING=latin-1"]
)
def test_any_locale_will_do(deployment: Deployment, setting: str) -> None:
    """What the output's encoding lacks is escaped."""
    deployment.configure(
        '[services.s]\nkind = "command"\ncommand = ["sh", "-c", "echo 25 °C → ok; exec sleep 600"]'
        '\nready = { log = "ok" }\n[services.t]\nkind = "command"\ncommand = "sleep 60"\n'
        'needs = ["s"]\nenv = { UNIT = "µm → x" }\n'
    )
    for words in ("start", "status --tree", "logs s", "config show", "config get services.t.env",
                  "config set services.t.nice 1", "reload --dry-run", "reload"):  # fmt: skip
        done = shell(deployment, f"{setting} pyroctl {words}")
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), (words, done.stderr)


@pytest.mark.parametrize("number", [5, 6, 8, 11])
def test_few_descriptors_are_an_error_in_words(deployment: Deployment, number: int) -> None:
    """A limit of open files that is too low ends a command with one line and a hint."""
    done = shell(deployment, f"exec 2>err; ulimit -n {number}; exec pyroctl start")
    error = (deployment.root / "err").read_text()
    assert done.returncode == 1
    assert "Traceback" not in error
    assert error.startswith("pyroctl: ")
