"""pyroctl(1) describes exactly the command line of the program."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

import pyroctl.errors
from pyroctl.cli.commands import COMMANDS
from pyroctl.cli.commands.completion import completion_script
from pyroctl.cli.group import make_group

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "man" / "pyroctl.1").read_text()
PAGES = sorted((ROOT / "man").iterdir())


def commands() -> dict[str, click.Command]:
    """Return every command by its full name."""
    group = make_group()
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": c for sub, c in command.commands.items()}
        else:
            found[name] = command
    return found


def section(title: str) -> str:
    return PAGE.partition(f".Sh {title}\n")[2].partition("\n.Sh ")[0]


def options_in(text: str) -> set[str]:
    """Return the options named in mdoc text, with their dashes."""
    return {
        f"-{flag}" for line in text.splitlines() for flag in re.findall(r"\bFl (-?[\w-]+)", line)
    }


def options_of(command: click.Command) -> set[str]:
    options = [p for p in command.params if isinstance(p, click.Option)]
    return {name for p in options for name in (*p.opts, *p.secondary_opts)}


def test_every_command_is_described_and_none_invented() -> None:
    """pyroctl(1) lists exactly the commands of the program."""
    groups = "certs|config|es|secret|unit|web"
    item = re.compile(rf"^\.It Nm Cm ((?:(?:{groups}) )?\w+)", re.MULTILINE)
    described = set(item.findall(section("COMMANDS")))
    assert described == set(commands())


def test_every_option_is_described_and_none_invented() -> None:
    """pyroctl(1) lists exactly the options of each command and the global ones."""
    every = {name for command in commands().values() for name in options_of(command)}
    everywhere = options_of(make_group()) | {"-h", "--help"}
    assert options_in(section("OPTIONS")) == everywhere
    assert options_in(section("COMMANDS")) - everywhere == every - everywhere


def test_help_has_no_control_codes() -> None:
    """click's marks for literal paragraphs do not appear in any help text."""
    for name, command in commands().items():
        assert not {"\\", "\b"} & set(command.get_help(click.Context(command))), name


def test_every_exit_status_is_described() -> None:
    """pyroctl(1) lists exactly the exit codes of the program."""
    described = {int(n) for n in re.findall(r"^\.It (\d+)", section("EXIT STATUS"), re.MULTILINE)}
    codes = {v for n, v in vars(pyroctl.errors).items() if n.startswith("EXIT_")}
    assert described == codes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_man_pages_are_clean(page: Path) -> None:
    """The mdoc linter reports no warnings."""
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed; `make check` needs it")
    found = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize(
    ("shell", "file"), [("bash", "pyroctl.bash"), ("zsh", "_pyroctl"), ("fish", "pyroctl.fish")]
)
def test_the_completions_that_are_shipped_are_current(shell: str, file: str) -> None:
    """The shipped completion scripts are those that `pyroctl completion` prints."""
    assert (ROOT / "completions" / file).read_text().strip() == completion_script(shell).strip()
