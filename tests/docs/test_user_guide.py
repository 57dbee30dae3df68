"""The manager's guides: each file is written and each command run, in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.events.test_guide import PAGES as EVENT_PAGES
from tests.harness import BIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import Deployment

DOCS = Path(__file__).parents[2] / "docs"
TUTORIAL = "tutorial/first-deployment.md"
HOW_TO = [
    "how-to/define-services.md",
    "how-to/keep-services-healthy.md",
    "how-to/operate.md",
    "how-to/page.md",
    "how-to/deploy.md",
    "how-to/certificates.md",
]
ENDLESS = (" listen ", " -f ", " run ")
"""Commands that never end: their first output is enough."""


POKE = "until pyroctl es subscriptions | grep -q kitchen; do :; done; pyroctl restart watch"


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the language and the text of each code block of a page."""
    text = (DOCS / page).read_text()
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def write(directory: Path, text: str) -> None:
    """Make a file, whose name is its first line."""
    name, _, _ = text.removeprefix("# ").partition("\n")
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def endless(command: str) -> bool:
    return any(word in f"{command} " for word in ENDLESS)


def run(line: str, directory: Path, env: Mapping[str, str]) -> None:
    """Run a command as written; one that listens gets something to print from another one."""
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


@pytest.fixture
def env(deployment: Deployment) -> dict[str, str]:
    return {
        **deployment.env,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYROCTL_ROOT": str(deployment.root),
    }


def follow(page: str, directory: Path, env: Mapping[str, str]) -> None:
    """Follow a page, from the first block to the last."""
    for language, text in blocks(page):
        if language in {"python", "toml"}:
            write(directory, text)
        elif language == "console":
            for line in text.splitlines():
                run(line, directory, env)


@pytest.mark.timeout(240)
def test_the_tutorial_from_the_first_line_to_the_last(
    deployment: Deployment, env: dict[str, str]
) -> None:
    """In an empty directory, its commands do what the page promises."""
    follow(TUTORIAL, deployment.root, env)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", HOW_TO)
def test_each_how_to_guide_continues_the_tutorial(
    deployment: Deployment, env: dict[str, str], page: str
) -> None:
    """With the tutorial's files, and after `pyroctl start`, every page works by itself."""
    for language, text in blocks(TUTORIAL):
        if language != "console":
            write(deployment.root, text)
    run("pyroctl start", deployment.root, env)
    follow(page, deployment.root, env)


def test_what_newcomers_start_needs_no_particular_port() -> None:
    """Another program may have 9090, so their name servers take any free port."""
    for path in (TUTORIAL, "examples/market/pyroctl.toml", "../README.md"):
        assert 'kind = "nameserver"\nport = 0 ' in (DOCS / path).read_text()


def test_the_guides_leave_nothing_out() -> None:
    """Their blocks are files, commands, and one for Docker, which isn't available here."""
    languages = [language for page in (TUTORIAL, *HOW_TO) for language, _ in blocks(page)]
    assert set(languages) == {"python", "toml", "console", "dockerfile"}
    assert languages.count("dockerfile") == 1


def test_every_page_with_code_is_run() -> None:
    """A page whose code is neither run here nor in tests/events/test_guide.py needs a test."""
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert {page for page in pages if blocks(page)} == {TUTORIAL, *HOW_TO, *EVENT_PAGES}
