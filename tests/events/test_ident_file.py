"""A file with the identification is a secret, or it isn't used."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pyro_events.ident import read_ident
from tests.other_user import OTHER, give_away, needs_root

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a secret that only we can read."""
    found = tmp_path / "es.secret"
    found.write_text(f"  {SECRET}\n")
    found.chmod(0o600)
    return found


def test_a_private_file_is_read(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without the white space around its text, and without a word."""
    assert read_ident(str(file)) == SECRET
    file.chmod(0o400)
    assert read_ident(str(file)) == SECRET
    assert not caplog.records


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o644, 0o666])
def test_a_file_of_others_is_refused(file: Path, mode: int) -> None:
    """The error has the file, its mode and the remedy, and not its content."""
    file.chmod(mode)
    with pytest.raises(ValueError, match=f"mode {mode:04o}.*chmod 600 {file}") as refused:
        read_ident(str(file))
    assert SECRET not in str(refused.value)


@needs_root
def test_root_may_let_our_group_read_its_own(file: Path) -> None:
    """As systemd and Kubernetes do; no other owner may, and not to all."""
    file.chmod(0o440)
    os.chown(file, 0, OTHER)
    file.parent.chmod(0o755)
    child = os.fork()
    if child == 0:
        try:
            os.chdir(file.parent)
            os.setgroups([])
            os.setgid(OTHER)
            os.setuid(OTHER)
            os._exit(0 if read_ident(file.name) == SECRET else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    give_away(file)
    with pytest.raises(ValueError, match="other users can read"):
        read_ident(str(file))


def test_a_short_identification_is_warned_of(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It can be guessed; the warning names the file and not the secret."""
    file.write_text("é" * 7)
    with caplog.at_level(logging.WARNING):
        assert read_ident(str(file)) == "é" * 7
    (record,) = caplog.records
    assert str(file) in record.getMessage()
    assert "é" not in record.getMessage()
    file.write_text("é" * 8)
    caplog.clear()
    read_ident(str(file))
    assert not caplog.records


@pytest.mark.parametrize("module", ["pyro_events", "pyro_events._app.tool"])
def test_every_program_refuses_a_file_of_others(file: Path, module: str) -> None:
    """`es` and the tool behind `pyroctl es` exit with an error that names the remedy."""
    file.chmod(0o644)
    arguments = ["-N"] if module == "pyro_events" else ["publish", "--es", "PYRO:x@localhost:1"]
    arguments += ["--ident-file", str(file)] + ([] if "-N" in arguments else ["subject", "text"])
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode in {1, 125}
    assert f"chmod 600 {file}" in done.stderr
    assert "Traceback" not in done.stderr
