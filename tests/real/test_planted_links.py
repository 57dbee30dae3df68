"""What another user has planted below `--root` harms no file of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.harness import Deployment
from tests.other_user import give_away, needs_root

if TYPE_CHECKING:
    from pathlib import Path

TICKS = '[services.tick]\nkind = "command"\ncommand = "sleep 1000"\n'


def precious(tmp_path: Path) -> Path:
    """Return a directory with files where a manager would clear its own."""
    found = tmp_path / "precious"
    for name in ("notify/thesis", "services/es/data", "control.sock"):
        (found / name).parent.mkdir(parents=True, exist_ok=True)
        (found / name).write_text("precious")
    found.chmod(0o755)
    return found


def contents(directory: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mode) for path in [directory, *directory.rglob("*")])


@needs_root
def test_links_below_another_users_directory_are_not_followed(tmp_path: Path) -> None:
    """`start` and `run` exit with 4, name path and owner, and nothing has changed anywhere."""
    ours, theirs = precious(tmp_path), tmp_path / "theirs"
    theirs.mkdir()
    for name in ("run", "state", "logs"):
        (theirs / name).symlink_to(ours)
        give_away(theirs / name)
    (theirs / "pyroctl.toml").write_text(TICKS)
    give_away(theirs)
    before = contents(tmp_path)
    for command in ("start", "run"):
        refused = Deployment(theirs).run(command, code=4).stderr
        assert f"{theirs} belongs to another user, nobody (uid 65534)" in refused
        assert "choose another directory with --root" in refused
    assert contents(tmp_path) == before


@needs_root
def test_a_planted_link_in_a_shared_directory_is_not_followed(tmp_path: Path) -> None:
    """In one like /tmp, in which everybody may create files."""
    ours, shared = precious(tmp_path), tmp_path / "shared"
    shared.mkdir()
    (shared / "pyroctl.toml").write_text(TICKS)
    shared.chmod(0o1777)
    (shared / "logs").symlink_to(ours)
    give_away(shared / "logs")
    before = contents(tmp_path)
    refused = Deployment(shared).run("start", code=4).stderr
    assert f"{shared}/logs is a symbolic link of another user, nobody (uid 65534)" in refused
    assert contents(tmp_path) == before


def test_a_manager_clears_only_what_managers_make(deployment: Deployment) -> None:
    """Of its runtime directory the sockets; a link or a file is left, and so is its target."""
    deployment.configure(TICKS)
    ours = precious(deployment.root)
    deployment.run("start")
    deployment.kill_manager()
    run, state = deployment.root / "run", deployment.root / "state"
    (run / "notify" / "file").touch()
    (run / "notify" / "link").symlink_to(ours / "notify" / "thesis")
    (state / "services" / "link").symlink_to(ours / "services")
    before = contents(ours)
    deployment.run("start")
    assert contents(ours) == before
    assert (run / "notify" / "file").exists()
    assert (run / "notify" / "tick").is_socket()


def test_a_root_through_a_link_of_our_own_works(deployment: Deployment) -> None:
    """As when a home directory is on another disk; also as a relative path."""
    deployment.configure(TICKS)
    link = deployment.root / "link"
    link.symlink_to(deployment.root)
    deployment.place = ["--root", "link/../link"]
    deployment.run("start")
    assert deployment.json("status")["data"]["services"][0]["state"] == "running"
    deployment.run("shutdown")
    deployment.place = ["--root", str(deployment.root)]
