"""The start of a manager after one that ended without shutting down."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pyroctl.manager import state_directory
from tests.harness import Deployment, eventually, is_alive
from tests.other_user import OTHER, needs_root
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    import pytest


def mark(deployment: Deployment) -> Path:
    return deployment.root / "state" / "manager.lock"


def test_the_next_start_reports_what_happened(deployment: Deployment) -> None:
    """Stderr and the log report pid, time and number of ended services, once."""
    deployment.configure(service("laser", "gate", "/") + service("feed", "gate", "/"))
    deployment.run("start")
    pid = deployment.manager_pid()
    deployment.kill_manager()
    eventually(lambda: not deployment.processes())
    output = deployment.run("start").stderr
    assert f"the last manager (pid {pid}) ended without shutting down at 20" in output
    assert "2 services were ended with it" in output
    assert f"(pid {pid}) ended without shutting down" in deployment.manager_log()
    deployment.run("shutdown")
    assert "without shutting down" not in deployment.run("start").stderr
    deployment.was_killed = False


def test_what_the_cleanup_process_did_not_end_is_ended_by_the_next_start(
    deployment: Deployment,
) -> None:
    """With manager and cleanup process killed, a stubborn service is not started twice."""
    deployment.configure(service("mule", "stubborn", more="stop_timeout = 0.3"))
    deployment.run("start")
    (cleanup,) = [pid for pid, c in deployment.processes().items() if "cleanup_process.py" in c]
    manager = deployment.manager_pid()
    mules = [pid for pid, c in deployment.processes().items() if "zoo.py" in c]
    os.kill(manager, signal.SIGSTOP)  # or it would replace the cleanup process
    os.kill(cleanup, signal.SIGKILL)
    eventually(lambda: not is_alive(cleanup))
    os.kill(manager, signal.SIGKILL)
    eventually(lambda: not is_alive(manager))
    assert all(map(is_alive, mules))
    output = deployment.run("start").stderr
    assert "2 processes left by it were ended now" in output
    assert not any(map(is_alive, mules))
    assert len([c for c in deployment.processes().values() if "zoo.py" in c]) == 2


def test_a_lock_file_of_an_earlier_boot_ends_no_process(deployment: Deployment) -> None:
    """The pid in another boot's lock file may belong to an unrelated process."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    deployment.run("shutdown")
    mark(deployment).write_text(f"{os.getpid()} 0a0b0c0d-0000\n")
    output = deployment.run("start").stderr
    assert f"the machine was restarted while a manager (pid {os.getpid()}) was running" in output
    assert deployment.state("laser") == "running"


def test_garbage_in_a_lock_file_is_ignored(deployment: Deployment) -> None:
    """The start ignores garbage in the files that a manager leaves."""
    deployment.configure(service("laser", "gate", "/"))
    (deployment.root / "state").mkdir(mode=0o700)
    for name in ("manager.lock", "guard.lock"):
        (deployment.root / "state" / name).write_bytes(b"\xff\0 garbage \n" * 50)
    assert "last manager" not in deployment.run("start").stderr
    assert deployment.state("laser") == "running"


@needs_root
def test_the_directory_of_another_users_service_does_not_outlive_a_crash(
    deployment: Deployment,
) -> None:
    """It is outside ours; the next manager removes it all the same, and its own at the end."""
    temporary = deployment.root / "tmp"
    temporary.mkdir()
    deployment.env["TMPDIR"] = str(temporary)
    deployment.configure('[services.ns]\nkind = "nameserver"\nport = 0\nuser = "nobody"\n')
    deployment.run("start", code=None)  # that user may be unable to execute our Python
    (first,) = temporary.iterdir()
    (first / "file").touch()
    assert (first.stat().st_uid, stat.S_IMODE(first.stat().st_mode)) == (OTHER, 0o700)
    deployment.kill_manager()
    deployment.run("start", code=None)
    (second,) = temporary.iterdir()
    assert second != first
    deployment.run("shutdown")
    assert not list(temporary.iterdir())
    assert not list((deployment.root / "state" / "services").iterdir())


@needs_root
def test_only_the_directory_of_another_users_service_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stranger put in its place, and others may have moved there, is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    link = tmp_path / "services" / "ns"
    made = Path(state_directory.make(str(link), OTHER, OTHER))
    made.rmdir()
    precious = tmp_path / "precious"
    (precious / "thesis").mkdir(parents=True)
    parent = os.open(link.parent, os.O_RDONLY)
    try:
        made.symlink_to(precious)
        state_directory.remove("ns", parent)
        made.unlink()
        precious.rename(made)
        made.chmod(0o777)
        link.symlink_to(made)
        state_directory.remove("ns", parent)
        assert (made / "thesis").is_dir()
        made.chmod(0o700)
        link.symlink_to(made)
        state_directory.remove("ns", parent)
    finally:
        os.close(parent)
    assert not made.exists()
    assert not list(link.parent.iterdir())
