"""Which files a shared deployment opens, and for whom."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyroctl.control.server import peer_groups
from pyroctl.core.spec import AllowSpec, Deployment
from pyroctl.errors import NotPermitted
from pyroctl.manager import lock
from pyroctl.manager.sharing import Sharing
from pyroctl.paths import deployment_paths
from tests.other_user import OTHER, needs_root

if TYPE_CHECKING:
    from pyroctl.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """The directories of a deployment, with something in the place of its control socket."""
    found = deployment_paths(None, str(tmp_path), {})
    lock.make_directories(found)
    (tmp_path / "run" / "control.sock").touch(0o600)
    return found


def shared(*rules: AllowSpec) -> Deployment:
    return Deployment("lab", {}, "/", "/etc/pyroctl.toml", allow=rules)


def opened(paths: Paths) -> list[tuple[str, int]]:
    """Return mode and group of runtime directory, socket and logs."""
    found = [Path(path).stat() for path in (paths.run, paths.socket, paths.logs)]
    return [(f"{status.st_mode & 0o777:o}", status.st_gid) for status in found]


@needs_root
def test_the_files_follow_the_rules(paths: Paths) -> None:
    """Nothing is open without rules; one group gets what it needs; else all may connect."""
    us = os.getegid()
    sharing = Sharing(paths)
    closed = [("700", us), ("600", us), ("700", us)]
    assert opened(paths) == closed
    sharing.apply(shared())
    assert opened(paths) == closed
    sharing.apply(shared(AllowSpec("view", groups=(str(OTHER),))))
    assert opened(paths) == [("750", OTHER), ("660", OTHER), ("750", OTHER)]
    sharing.apply(shared(AllowSpec("view", groups=(str(OTHER),), users=("1",))))
    assert [mode for mode, _ in opened(paths)] == ["711", "666", "700"]
    sharing.apply(shared())
    assert [mode for mode, _ in opened(paths)] == ["700", "600", "700"]


def test_requests_are_decided_by_user_and_groups(paths: Paths) -> None:
    """Of the manager's user and root all are permitted; refusals say who, what, and who grants."""
    sharing = Sharing(paths)
    sharing.apply(shared(AllowSpec("view", groups=("4242",))))
    for user in (0, os.geteuid()):
        sharing.permit(user, (), "shutdown")
    sharing.permit(4_000_000, (1, 4242), None)
    sharing.permit(4_000_000, (1, 4242), "status")
    with pytest.raises(NotPermitted) as refused:
        sharing.permit(4_000_000, (1, 4242), "stop")
    expected = "not permitted: uid 4000000 has the role view, and stop needs the role operate"
    assert refused.value.message == expected
    assert "[[manager.allow]] in /etc/pyroctl.toml" in str(refused.value.hint)
    assert f"(uid {os.geteuid()})" in str(refused.value.hint)
    with pytest.raises(NotPermitted, match="uid 4000000 may not use this manager"):
        sharing.permit(4_000_000, (1,), None)
    sharing.apply(shared())
    with pytest.raises(NotPermitted):
        sharing.permit(4_000_000, (1, 4242), "status")


def test_unknown_names_are_logged(paths: Paths, caplog: pytest.LogCaptureFixture) -> None:
    """A rule with a misspelt name lets nobody in, and the log says why."""
    rule = AllowSpec("configure", ("no such user",), ("no such group",))
    Sharing(paths).apply(shared(rule))
    assert "there is no user 'no such user' on this machine" in caplog.text
    assert "there is no group 'no such group' on this machine" in caplog.text


def test_the_kernel_knows_the_groups_of_a_peer() -> None:
    """All of them, not only the first."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert set(peer_groups(ours)) >= set(os.getgroups())
