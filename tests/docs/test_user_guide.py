"""docs/guide.md: every file of it is written, and every command run, in its order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import BIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import Deployment

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
ENDLESS = (" listen ", " -f ", " run ")
"""Commands that would go on for ever: what they show first is enough."""


POKE = "until pyroctl es subscriptions | grep -q kitchen; do :; done; pyroctl restart watch"


def write(directory: Path, text: str) -> None:
    """Make a file, whose name is its first line."""
    name, _, _ = text.removeprefix("# ").partition("\n")
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def endless(command: str) -> bool:
    return any(word in f"{command} " for word in ENDLESS)


def run(line: str, directory: Path, env: Mapping[str, str]) -> None:
    """Run a command as it stands there; another one gives those that listen something to hear."""
    command = line.partition("  #")[0].strip()
    with subprocess.Popen(
        f"exec {command}" if endless(command) else command,
        shell=True,
        env=env,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        if not endless(command):
            out, err = process.communicate(timeout=40)
            assert process.returncode == 0, (line, out, err)
            assert "Traceback" not in err, (line, err)
            return
        poke = None
        if "kitchen" in command:
            poke = subprocess.Popen(
                POKE, shell=True, env=env, cwd=directory, stdout=subprocess.DEVNULL
            )
        assert process.stdout is not None
        first = process.stdout.readline()
        while " run " in f"{command} " and first and "watching" not in first:
            first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=40)
        if poke is not None:
            assert poke.wait(30) == 0
        assert first, (line, err)
        assert "Traceback" not in err, (line, err)


@pytest.mark.timeout(240)
def test_the_guide_from_the_first_line_to_the_last(deployment: Deployment) -> None:
    """Whoever types it gets what it promises."""
    env = {
        **deployment.env,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYROCTL_ROOT": str(deployment.root),
        "PYROCTL_SERVICES_NS_PORT": "0",
    }
    for language, text in BLOCKS:
        if language in {"python", "toml"}:
            write(deployment.root, text)
        elif language == "console":
            for line in text.splitlines():
                run(line, deployment.root, env)


def test_the_guide_leaves_nothing_out() -> None:
    """Its blocks are files, commands, and one for Docker, which isn't here to be tried."""
    languages = [language for language, _ in BLOCKS]
    assert set(languages) == {"python", "toml", "console", "dockerfile"}
    assert languages.count("dockerfile") == 1
