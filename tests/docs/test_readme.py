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


def test_the_programs_of_the_readme_talk_to_each_other(deployment: Deployment) -> None:
    """The five lines that listen print what the two lines publish."""
    deployment.configure(PAIR)
    deployment.run("start")
    host, _, port = deployment.service("ns")["uri"].rpartition("@")[2].rpartition(":")
    env = deployment.env | {"PYRO_NS_HOST": host, "PYRO_NS_PORT": port, "PYTHONUNBUFFERED": "1"}
    listening, publishing = blocks("python")
    publishing = "from pyro_events import Publisher\n" + publishing
    with subprocess.Popen(
        [sys.executable, "-c", listening], env=env, stdout=subprocess.PIPE, text=True
    ) as subscriber:
        try:
            eventually(lambda: deployment.service("es")["es"]["subscribers"] == 1)
            subprocess.run([sys.executable, "-c", publishing], env=env, check=True, timeout=30)
            assert subscriber.stdout is not None
            assert subscriber.stdout.readline() == "STOCKS.SUN ('SUN', 22.44)\n"
        finally:
            subscriber.kill()
