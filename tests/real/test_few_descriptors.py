"""With too few file descriptors every program reports it in one line, and what to do."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Deployment

PROGRAMS = {
    "es": ("pyro_events", "-N", "-p", "0"),
    "pyro_names": ("pyro_names", "--port", "0"),
    "pyro_host": ("pyro_host", "fractions:Fraction"),
}
SERVICES = {
    "es": 'kind = "eventservice"',
    "pyro_names": 'kind = "nameserver"\nport = 0',
    "pyro_host": 'kind = "object"\nobject = "fractions:Fraction"',
}


def limited(number: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with at most this many descriptors, and no others open."""
    return subprocess.run(
        ["/bin/sh", "-c", f'ulimit -n {number}; exec "$@"', "sh", *command],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("number", [5, 6])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_that_descriptors_ran_out(program: str, number: int) -> None:
    """Wherever in its start: in an import, or for the first socket."""
    ended = limited(number, sys.executable, "-m", *PROGRAMS[program])
    said = f"{program}: no more file descriptors (ulimit -n is {number}): raise the limit\n"
    warned = [line for line in ended.stderr.splitlines() if " WARNING max_connections " in line]
    assert ended.stderr.removeprefix("".join(f"{line}\n" for line in warned)) == said
    assert (ended.returncode, ended.stdout) == (1, "")


@pytest.mark.parametrize("number", [8, 10, 12, 15])
def test_a_name_server_never_blames_the_host_name(number: int) -> None:
    """The reason is the same if only its port, or only its first client, has no room."""
    ended = limited(number, sys.executable, "-m", "pyro_names", "--port", "0")
    said = f"pyro_names: no more file descriptors (ulimit -n is {number}): raise the limit"
    assert ended.stderr.splitlines()[-1] == said
    assert "Traceback" not in ended.stderr
    assert (ended.returncode, ended.stdout) == (1, "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_service_with_a_low_limit_fails_with_the_reason(
    deployment: Deployment, program: str
) -> None:
    """The state in `status` has the program's own line."""
    deployment.configure(
        f'[services.x]\n{SERVICES[program]}\nlimits = {{ nofile = 7 }}\nrestart = "never"\n'
    )
    deployment.run("start", code=1)
    row = deployment.service("x")
    logged = deployment.run("logs", "x").stdout
    assert "no more file descriptors (ulimit -n is 7): raise the limit" in logged
    assert "Traceback" not in logged
    assert "exit" in row["detail"]


@pytest.mark.parametrize("number", [7, 10, 13])
def test_start_tells_what_the_new_manager_lacks(tmp_path: Path, number: int) -> None:
    """Whether the command itself, the manager or its loading of the configuration lacks them."""
    (tmp_path / "pyroctl.toml").write_text('[services.x]\nkind = "command"\ncommand = "sleep 9"\n')
    pyroctl = (sys.executable, "-m", "pyroctl", "--root", str(tmp_path / "d"))
    config = ("-c", str(tmp_path / "pyroctl.toml"))
    ended = limited(number, *pyroctl, *config, "start")
    subprocess.run([*pyroctl, *config, "shutdown"], capture_output=True, check=False)
    assert ended.returncode == 1
    assert "oo many open files" in ended.stderr
    assert "hint: allow more open files: ulimit -n 1024" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Errno" not in ended.stderr
