"""What the README shows works as written."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness import BIN, eventually
from tests.real.test_main_job import PAIR

if TYPE_CHECKING:
    from tests.harness import Deployment

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_commands_of_the_readme_run(deployment: Deployment) -> None:
    """Each line of the console block, word for word, in its order."""
    deployment.configure(PAIR)
    env = deployment.env | {
        "PYROCTL_ROOT": str(deployment.root),
        "PATH": f"{BIN}:{deployment.env['PATH']}",
    }
    _, use = blocks("console")
    for line in use.splitlines():
        follows = " -f " in line
        with subprocess.Popen(
            line,
            shell=True,
            env=env,
            cwd=deployment.root,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            if follows:  # it never ends: its first output is enough
                assert process.stdout.readline()
                os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=30)
        assert follows or process.returncode == 0, line


def test_the_configuration_of_the_readme_is_good(deployment: Deployment) -> None:
    """The block loads without an error."""
    (toml,) = blocks("toml")
    deployment.configure(toml)
    assert "3 services" in deployment.run("config", "check").stdout


def test_the_first_screen_works_as_it_stands(deployment: Deployment) -> None:
    """The class and its configuration start, and the commands print what is shown."""
    (program,), (toml,), (session,) = blocks("py"), blocks("toml"), blocks("text")
    (deployment.root / "thermometer.py").write_text(program)
    deployment.configure(toml)
    env = deployment.env | {"PATH": f"{BIN}:{deployment.env['PATH']}", "LANG": "C.UTF-8"}
    env["PYROCTL_ROOT"] = str(deployment.root)
    said = ""
    for line in session.splitlines():
        if line.startswith("$ "):
            done = subprocess.run(
                line[2:],
                shell=True,
                env=env,
                cwd=deployment.root,
                capture_output=True,
                text=True,
                check=True,
                timeout=50,
            )
            progress = done.stderr if line.endswith(" start") else ""
            said += f"{line}\n{done.stdout}{progress}"
    assert words(said) == words(session)


def words(session: str) -> list[str]:
    """Return the words of a session without numbers and paths, which differ each time.

    Services that do not need each other become ready in any order.
    """
    return sorted(re.sub(r"\d+(?!\.\d)|/[^ )]+", "N", word) for word in session.split())


def test_what_make_start_starts_is_what_the_next_commands_see() -> None:
    """Both use the built-in deployment in its default place."""
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^ROOT\s*\?=\s*$", makefile, re.MULTILINE)
    assert "make start\nmake test\n" in README
    assert ". .venv/bin/activate" in README


def test_the_programs_of_the_readme_talk_to_each_other(deployment: Deployment) -> None:
    """The listener prints what the two lines publish, and Ctrl-C ends it without a traceback."""
    deployment.configure(PAIR)
    deployment.run("start")
    host, _, port = deployment.service("ns")["uri"].rpartition("@")[2].rpartition(":")
    env = deployment.env | {"PYRO_NS_HOST": host, "PYRO_NS_PORT": port, "PYTHONUNBUFFERED": "1"}
    listening, publishing = blocks("python")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", listening], env=env, stdout=pipe, stderr=pipe, text=True
    ) as subscriber:
        try:
            eventually(lambda: deployment.service("es")["es"]["subscribers"] == 1)
            subprocess.run([sys.executable, "-c", publishing], env=env, check=True, timeout=30)
            assert subscriber.stdout is not None
            assert subscriber.stdout.readline() == "STOCKS.SUN ('SUN', 22.44)\n"
            subscriber.send_signal(signal.SIGINT)
            assert subscriber.communicate(timeout=20) == ("", "")
            assert subscriber.returncode == 0
        finally:
            subscriber.kill()
