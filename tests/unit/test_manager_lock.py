"""The manager's lock, and the directories it needs."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from pyroctl.control.client import manager_pid
from pyroctl.directories import make_again, make_private, make_unshared
from pyroctl.errors import AlreadyRunning, NotPermitted, PyroctlError
from pyroctl.manager import lock
from pyroctl.paths import Paths, deployment_paths

if TYPE_CHECKING:
    from pathlib import Path


def places(root: Path) -> Paths:
    paths = deployment_paths(None, str(root), {})
    lock.make_directories(paths)
    return paths


def test_the_lock_decides(tmp_path: Path) -> None:
    """Whoever has it is the manager; after an orderly end nothing is left in the file."""
    paths = places(tmp_path)
    fd, last = lock.acquire(paths)
    assert last is None
    assert manager_pid(paths) == os.getpid()
    with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}"):
        lock.acquire(paths)
    lock.release(fd)
    assert manager_pid(paths) is None
    assert (tmp_path / "state" / "manager.lock").read_text() == ""


def test_the_lock_file_tells_the_runtime_directory(tmp_path: Path) -> None:
    """A command with other variables finds the manager's directory, as long as it lives."""
    paths = places(tmp_path)._replace(run=str(tmp_path / "with blanks and\nmore"))
    lock.make_directories(paths)
    fd, _ = lock.acquire(paths)
    assert deployment_paths(None, str(tmp_path), {}).run == paths.run
    os.close(fd)
    assert deployment_paths(None, str(tmp_path), {}).run == str(tmp_path / "run")
    fd, last = lock.acquire(paths)
    assert last is not None
    assert last.run == paths.run
    os.close(fd)


def test_after_a_reexec_from_an_earlier_version_the_new_lock_holds(tmp_path: Path) -> None:
    """The descriptor keeps its number, and the old file vanishes."""
    paths = places(tmp_path)
    former = os.open(paths.former(paths.lock), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(former, fcntl.LOCK_EX)
    os.write(former, f"{os.getpid()} boot\n".encode())
    assert manager_pid(paths) == os.getpid()
    lock.renew(former, paths)
    assert not (tmp_path / "run" / "manager.lock").exists()
    assert manager_pid(paths) == os.getpid()
    lock.renew(former, paths)
    os.unlink(paths.lock)  # noqa: PTH108
    assert manager_pid(paths) is None
    lock.renew(former, paths)
    assert manager_pid(paths) == os.getpid()
    lock.release(former)


def test_a_crash_of_an_earlier_version_is_known(tmp_path: Path) -> None:
    """What it left in its lock file is read once."""
    paths = places(tmp_path)
    (tmp_path / "run" / "manager.lock").write_text("4711 boot\n")
    fd, last = lock.acquire(paths)
    assert last is not None
    assert (last.pid, last.boot, last.run) == (4711, "boot", "")
    assert not (tmp_path / "run" / "manager.lock").exists()
    lock.release(fd)


def test_a_link_as_lock_file_is_not_followed(tmp_path: Path) -> None:
    """The file that it points to is neither created nor written."""
    paths = places(tmp_path)
    target = tmp_path / "precious"
    target.write_text("content")
    (tmp_path / "state" / "manager.lock").symlink_to(target)
    with pytest.raises(PyroctlError, match=r"cannot lock .* symbolic"):
        lock.acquire(paths)
    assert target.read_text() == "content"


def test_private_directories_are_private(tmp_path: Path) -> None:
    """Modes that are too open are corrected, links refused; logs may be a link and readable."""
    for name in ("run", "logs"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    make_private(str(tmp_path / "run"))
    make_unshared(str(tmp_path / "logs"))
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o755
    (tmp_path / "link").symlink_to(tmp_path / "logs")
    make_unshared(str(tmp_path / "link"), follow=True)
    for make in (make_private, make_unshared):
        with pytest.raises(PyroctlError, match="link: it is a symbolic link"):
            make(str(tmp_path / "link"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    """Somebody who has made it before us could put anything there."""
    os.chown(tmp_path, 12345, -1)
    with pytest.raises(NotPermitted, match="belongs to another user"):
        make_private(str(tmp_path))


def test_a_directory_is_made_again_as_it_was(tmp_path: Path) -> None:
    """With its parents; one that exists keeps its mode."""
    lost = tmp_path / "above" / "logs"
    make_again(str(lost), 0o2750)
    assert lost.stat().st_mode & 0o7777 == 0o2750
    make_again(str(lost), 0o700)
    assert lost.stat().st_mode & 0o7777 == 0o2750
