"""A test run that is ended from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import eventually, is_alive

ROOT = Path(__file__).parents[2]
CONFTEST = "from tests.orderly_end import install as pytest_configure"
TESTS = """
import os, subprocess, time
from pathlib import Path
import pytest

@pytest.fixture
def service(request):
    process = subprocess.Popen(["sleep", "1000"])
    yield process.pid
    time.sleep(0.5)  # an end that takes its time is waited for
    process.kill()
    process.wait()
    Path(request.node.name + ".done").touch()

@pytest.mark.parametrize("number", [0, 1])
def test_waits(request, service, number):
    Path(request.node.name + ".pid").write_text(f"{service}.")
    time.sleep(100)
"""


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_sigterm_takes_down_what_tests_have_started(
    tmp_path: Path, workers: int, *, group: bool
) -> None:
    """Every fixture ends, whether it goes to the run or its group, with workers or without."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    options = ["-p", "no:randomly", "-p", "no:cacheprovider", "-n", str(workers), "-q"]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        started = [tmp_path / f"test_waits[{number}].pid" for number in range(workers or 1)]
        eventually(lambda: all(path.exists() and path.read_text() for path in started))
        texts = [path.read_text() for path in started]
        assert all(text.endswith(".") for text in texts)
        (os.killpg if group else os.kill)(run.pid, signal.SIGTERM)
        output, _ = run.communicate(timeout=30)
    assert run.returncode == 2, output
    assert all(path.with_suffix(".done").exists() for path in started), output
    assert not any(is_alive(int(text.strip("."))) for text in texts)
