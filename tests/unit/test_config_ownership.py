"""Root follows no configuration that another user may write."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from pyroctl.config.load import load
from pyroctl.config.source.ownership import distrust
from pyroctl.errors import ConfigError, Diagnostic
from tests.other_user import OTHER, give_away, needs_root

if TYPE_CHECKING:
    from pathlib import Path

OBJECT = '[services.laser]\nkind = "object"\nobject = "laser:Laser"\npath = "modules"\n'


@pytest.mark.parametrize(
    ("owner", "group", "mode", "reason"),
    [
        (0, 0, 0o644, None),
        (0, 0, 0o664, None),  # umask 002, where each user has a group of his own
        (0, 7, 0o664, r"can be written by other users \(mode 0664\)"),
        (0, 0, 0o646, r"can be written by other users \(mode 0646\)"),
        (OTHER, OTHER, 0o600, "belongs to nobody"),
        (1234, 0, 0o600, None),
        (4_000_000, 0, 0o600, r"belongs to uid 4000000, and the command runs as root"),
    ],
)
def test_what_root_distrusts(owner: int, group: int, mode: int, reason: str | None) -> None:
    """Others' files, unless they are of a user to trust, and what others may write."""
    status = os.stat_result((mode, 0, 0, 1, owner, group, 0, 0, 0, 0))
    refusal = distrust("FILE", status, {1234}, uid=0)
    if reason is None:
        assert refusal is None
    else:
        assert refusal is not None
        assert re.search(reason, refusal.reason)
        assert "FILE" in refusal.hint


def test_only_root_distrusts() -> None:
    """People share configurations in groups."""
    status = os.stat_result((0o666, 0, 0, 1, OTHER, OTHER, 0, 0, 0, 0))
    assert distrust("FILE", status, uid=1000) is None


def refusals(file: Path) -> list[Diagnostic]:
    with pytest.raises(ConfigError) as refused:
        load(str(file), {}, "/")
    return list(refused.value.diagnostics)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with an include, a drop-in, an env file and a directory of modules."""
    file = tmp_path / "pyroctl.toml"
    file.write_text('include = "more.toml"\n')
    (tmp_path / "more.toml").write_text(OBJECT + 'env_file = "laser.env"\n')
    (tmp_path / "pyroctl.d").mkdir()
    (tmp_path / "pyroctl.d" / "local.toml").write_text("[services.laser]\nstop_timeout = 3\n")
    (tmp_path / "laser.env").write_text("LEVEL=3\n")
    (tmp_path / "modules").mkdir()
    return file


@needs_root
@pytest.mark.parametrize("name", ["pyroctl.toml", "more.toml", "pyroctl.d/local.toml"])
def test_each_file_of_the_configuration_must_be_roots(config: Path, name: str) -> None:
    """The diagnostic has the file, its owner and the remedy."""
    load(str(config), {}, "/")
    give_away(config.parent / name)
    (refused, *_) = refusals(config)
    assert refused.file == str(config.parent / name)
    assert refused.message == "belongs to nobody (uid 65534), and the command runs as root"
    assert refused.hint is not None
    assert "--as-owner" in refused.hint
    assert f"chown root {config.parent / name}" in refused.hint


@needs_root
def test_env_files_and_directories_of_modules_must_be_roots(config: Path) -> None:
    """Both decide what a service does; a service's own user may have its modules."""
    (config.parent / "laser.env").chmod(0o666)
    give_away(config.parent / "modules")
    found = {refused.key: refused.message for refused in refusals(config)}
    assert "laser.env can be written by other users (mode 0666)" in found["services.laser.env_file"]
    assert "modules belongs to nobody (uid 65534)" in found["services.laser.path"]
    (config.parent / "laser.env").chmod(0o644)
    with (config.parent / "more.toml").open("a") as file:
        file.write('user = "nobody"\n')
    load(str(config), {}, "/")
    config.parent.chmod(0o777)
    (refused,) = refusals(config)
    assert refused.key == "services.laser.object"
    assert "chmod go-w" in str(refused.hint)
