"""Where the configuration file is looked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyroctl.config.source.discovery import find_config
from pyroctl.errors import EXIT_CONFIG, ConfigError


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Directories of every rank, all empty, none of the machine's own."""
    for name in ("cwd", "root/config", "user/pyroctl", "site/pyroctl"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "site"))
    return tmp_path


def put(directory, name="pyroctl.toml") -> str:
    (directory / name).write_text("", encoding="utf-8")
    return str(directory / name)


def find(places, option=None, root=None, environ=None):
    return find_config(option, root, environ or {}, str(places / "cwd"))


def refused(places, **how):
    with pytest.raises(ConfigError) as caught:
        find(places, **how)
    (error,) = caught.value.diagnostics
    assert caught.value.exit_code == EXIT_CONFIG
    return error.file, error.message


def test_without_a_file_the_builtin_deployment_is_meant(places):
    """A missing configuration is not an error."""
    assert find(places) is None
    assert find(places, root=str(places / "root")) is None


def test_the_first_place_wins(places):
    """Option, environment, working directory, user, site: in this order."""
    site = put(places / "site/pyroctl")
    assert find(places) == site
    user = put(places / "user/pyroctl")
    assert find(places) == user
    cwd = put(places / "cwd")
    assert find(places) == cwd
    lab, other = put(places / "cwd", "lab.toml"), put(places, "other.toml")
    assert find(places, environ={"PYROCTL_CONFIG": lab}) == lab
    assert find(places, option=other, environ={"PYROCTL_CONFIG": lab}) == other


def test_a_root_replaces_user_and_site(places):
    """Below a root, the root itself comes before its config directory."""
    put(places / "user/pyroctl")
    put(places / "site/pyroctl")
    root = str(places / "root")
    assert find(places, root=root) is None
    inner = put(places / "root/config")
    assert find(places, root=root) == inner
    outer = put(places / "root")
    assert find(places, root=root) == outer
    assert find(places, root="../root") == outer


def test_relative_names_start_at_the_working_directory(places):
    """What comes out is absolute."""
    file = put(places / "cwd", "lab.toml")
    assert find(places, option="lab.toml") == file
    assert find(places, option="./../cwd/lab.toml") == file
    assert find(places, environ={"PYROCTL_CONFIG": "lab.toml"}) == file


def test_an_empty_variable_counts_as_unset(places):
    """PYROCTL_CONFIG= is as good as unset."""
    assert find(places, environ={"PYROCTL_CONFIG": ""}) is None


def test_a_file_that_was_asked_for_must_exist(places):
    """A missing file is reported under the name that was given, not passed over."""
    put(places / "cwd")
    missing = str(places / "cwd/no.toml")
    assert refused(places, option="no.toml") == (missing, "no such file")
    assert refused(places, environ={"PYROCTL_CONFIG": missing}) == (missing, "no such file")
    assert refused(places, option="")[1] == "no such file"


@pytest.mark.parametrize("option", [None, "pyroctl.toml"])
def test_an_unreadable_file_is_reported(places, option):
    """Neither directory, FIFO, dangling nor endless link is passed over, asked for or found."""
    path = places / "cwd/pyroctl.toml"
    path.mkdir()
    assert refused(places, option=option) == (str(path), "is a directory, not a file")
    path.rmdir()
    os.mkfifo(path)
    assert refused(places, option=option) == (str(path), "is not a regular file")
    path.unlink()
    path.symlink_to("gone.toml")
    assert refused(places, option=option) == (str(path), "is a link to a file that doesn't exist")
    path.unlink()
    path.symlink_to("pyroctl.toml")
    message = "can't be read: Too many levels of symbolic links"
    assert refused(places, option=option) == (str(path), message)


def test_an_impossible_name_is_reported(places):
    """A NUL or a name too long for the system is an error, not a traceback."""
    assert "embedded null" in refused(places, option="a\0b")[1]
    assert refused(places, option="x" * 5000)[1] == "can't be read: File name too long"


def test_a_forbidden_file_is_reported(places, monkeypatch):
    """A file without read permission is reported as such (simulated: tests may run as root)."""
    file = put(places / "cwd")
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (file, os.R_OK))
    assert refused(places) == (file, "can't be read: Permission denied")


def test_finding_the_file_is_light(places):
    """Nothing heavy is imported to find a file in the working directory."""
    put(places / "cwd")
    program = (
        f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); before = set(sys.modules)\n"
        "from pyroctl.config.source.discovery import find_config\n"
        f"assert find_config(None, None, {{}}, {str(places / 'cwd')!r})\n"
        "print(*sorted(m for m in set(sys.modules) - before if not m.startswith('pyroctl')))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"tomllib", "tomlkit", "pydantic", "platformdirs", "pathlib", "re", "typing"}
    assert heavy.isdisjoint(done.stdout.split())
