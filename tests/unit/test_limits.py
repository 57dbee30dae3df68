"""The check of lengths and of fixed sleeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "limits.py"


def check(directory: Path, text: str) -> str:
    """Return what the tool prints of a test file with that text."""
    (directory / "tests").mkdir()
    (directory / "tests" / "a.py").write_text(text)
    run = subprocess.run(
        [sys.executable, TOOL, "tests"], cwd=directory, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert run.returncode == bool(run.stdout)
    return run.stdout


@pytest.mark.parametrize(
    ("lines", "found"), [(400, ""), (401, "1: the file has 401 lines, limit 400")]
)
def test_the_length_of_a_file(tmp_path, lines, found):
    """400 lines are allowed."""
    assert check(tmp_path, "\n" * lines) == (f"tests/a.py:{found}\n" if found else "")


@pytest.mark.parametrize(("lines", "found"), [(59, ""), (60, "2: f has 61 lines, limit 60")])
def test_the_length_of_a_function(tmp_path, lines, found):
    """60 lines are allowed, without the docstring and decorators."""
    text = '@g\ndef f():\n    """A\n    B\n    """\n' + "    pass\n" * lines
    assert check(tmp_path, text) == (f"tests/a.py:{found}\n" if found else "")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("time.sleep(0.1)", True),
        ("asyncio.sleep(2 * 3)", True),
        ("time.sleep(PAUSE)", True),
        ("time.sleep(self.PAUSE)", True),
        ("time.sleep(0.1)  # sleep: a slow handler", False),
        ("time.sleep(delay)", False),
        ("asyncio.sleep(0)", False),
        ("while not ready(): time.sleep(0.1)", False),
        ("'time.sleep(1)'", False),
    ],
)
def test_fixed_sleeps(tmp_path, line, found):
    """A constant time counts unless it is a step of polling, or the comment says why."""
    assert bool(check(tmp_path, line + "\n")) == found
