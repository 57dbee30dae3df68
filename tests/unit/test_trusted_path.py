"""No other user decides where a path leads."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pyroctl.trusted_path import NotTrustedError, open_directory
from tests.other_user import give_away, needs_root


def opened(path: Path | str, **options: bool) -> str:
    """Return where the path leads."""
    fd = open_directory(str(path), **options)
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    finally:
        os.close(fd)


def test_missing_directories_are_made_for_us_alone(tmp_path: Path) -> None:
    """All of them; without `create` they are reported, and those that exist stay as they are."""
    (tmp_path / "a").mkdir(mode=0o755)
    with pytest.raises(FileNotFoundError) as missing:
        opened(tmp_path / "a" / "b" / "c")
    assert missing.value.filename == str(tmp_path / "a" / "b")
    assert opened(tmp_path / "a" / "b" / "c", create=True) == str(tmp_path / "a" / "b" / "c")
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/c")]
    assert modes == [0o755, 0o700, 0o700]


def test_links_of_our_own_are_followed(tmp_path: Path) -> None:
    """Absolute or relative, through other links and up again; the last one only if wanted."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "absolute").symlink_to(tmp_path / "real")
    (tmp_path / "relative").symlink_to("absolute/./deep")
    (tmp_path / "up").symlink_to("relative/..")
    assert opened(tmp_path / "up" / "deep") == str(tmp_path / "real" / "deep")
    assert opened(tmp_path / "relative") == str(tmp_path / "real" / "deep")
    with pytest.raises(OSError, match="Too many levels") as refused:
        opened(tmp_path / "relative", follow=False)
    assert refused.value.errno == errno.ELOOP


def test_a_link_of_the_system_is_followed() -> None:
    """Such as /var/run, or /bin on most systems; and a relative path starts here."""
    for link in ("/var/run", "/bin", "/proc/self/cwd"):
        if Path(link).is_symlink() and os.lstat(link).st_uid in {0, os.geteuid()}:
            assert opened(link) == os.path.realpath(link)
    assert opened(".") == os.getcwd()  # noqa: PTH109


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    """The error is the system's, and the link is named."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels") as refused:
        opened(tmp_path / "a" / "run", create=True)
    assert str(refused.value.filename).startswith(str(tmp_path))


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    """Neither as the last part nor above it."""
    (tmp_path / "file").touch()
    for path in ("file", "file/run"):
        with pytest.raises(NotADirectoryError) as refused:
            opened(tmp_path / path, create=True)
        assert refused.value.filename == str(tmp_path / "file")


@needs_root
def test_a_directory_of_another_user_is_not_entered(tmp_path: Path) -> None:
    """Unless it is sticky: nobody can rename there what belongs to others."""
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o777)
    give_away(theirs)
    with pytest.raises(NotTrustedError, match="belongs to another user, nobody") as refused:
        opened(theirs / "ours", create=True)
    assert refused.value.filename == str(theirs)
    assert not list(theirs.iterdir())
    theirs.chmod(0o1777)
    assert opened(theirs / "ours", create=True) == str(theirs / "ours")


@needs_root
@pytest.mark.parametrize("name", ["link", "link/deep", "ours/deep"])
def test_a_link_of_another_user_is_not_followed(tmp_path: Path, name: str) -> None:
    """Wherever it stands, and also if one of our own leads there."""
    (tmp_path / "precious" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("precious")
    give_away(tmp_path / "link")
    (tmp_path / "ours").symlink_to("link")
    with pytest.raises(NotTrustedError, match="is a symbolic link of another user") as refused:
        opened(tmp_path / name, create=True)
    assert refused.value.filename == str(tmp_path / "link")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Whether it succeeds or fails, and however many links are followed."""
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    before = len(list(Path("/proc/self/fd").iterdir()))
    opened(tmp_path / "link" / "link")
    for path in ("file", "none", "link/file/x"):
        with pytest.raises(OSError, match="director"):
            opened(tmp_path / path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
