"""Completion in real shells, with the script that `pyroctl completion` prints."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.harness import BIN
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from tests.harness import Deployment

BASH = """
eval "$(pyroctl completion bash)"
COMP_WORDS=({words}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_pyroctl_completion pyroctl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
autoload -U compinit; compinit -D
eval "$(pyroctl completion zsh)"
compadd() {{ print -rl -- $completions; }}
words=({words}) CURRENT=${{#words}}
_pyroctl_completion
"""
FISH = 'pyroctl completion fish | source; complete --do-complete "{words}"'


@pytest.mark.parametrize(
    ("shell", "script"), [("bash", BASH), ("zsh", ZSH), ("fish", FISH)], ids=["bash", "zsh", "fish"]
)
def test_the_shell_offers_the_services_of_the_configuration(
    deployment: Deployment, shell: str, script: str
) -> None:
    """The shell offers them even if the configuration is invalid, and starts nothing."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    deployment.configure(
        service("laser", "gate", "/") + service("lamp", "gate", "/") + "no = 'key'"
    )
    env = deployment.env | {
        "PATH": f"{BIN}:{deployment.env['PATH']}",
        "PYROCTL_ROOT": str(deployment.root),
        "HOME": str(deployment.root),
    }
    found = subprocess.run(
        [shell, "-c", script.format(words="pyroctl restart la")],
        env=env,
        cwd=deployment.root,
        capture_output=True,
        text=True,
        check=False,
    )
    offered = {line.partition("\t")[0].partition(":")[0] for line in found.stdout.splitlines()}
    assert offered == {"laser", "lamp"}, found.stderr
    assert not deployment.processes()
    assert not (deployment.root / "run").exists()
