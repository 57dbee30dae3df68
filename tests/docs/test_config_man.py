"""pyroctl.toml(5) documents exactly what the configuration accepts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pyroctl.config.check.models.kinds import KINDS
from pyroctl.config.check.schema_info import KeyInfo, keys
from pyroctl.config.edit.show import format_value
from pyroctl.config.load import load
from pyroctl.core.diff import live_keys

PAGE = Path(__file__).parents[2] / "man" / "pyroctl.toml.5"
SOURCE = PAGE.read_text(encoding="utf-8")
SECTIONS = {
    "Multiple files": (),
    "THE MANAGER": (),
    "ALERTS": (),
    "Common keys": tuple(KINDS),
    **{f"Kind {kind}": (kind,) for kind in KINDS},
}
ENTRY = re.compile(
    r"\.It Ic (\S+)\n\.Em (.+?) ,\n(required\.|default\n\.(?:Ql|Li) (.+) \.|default: .+\.)\n"
)


def documented() -> dict[tuple[str, str], tuple[str, str]]:
    """Return (key, kind) → (type, default as written) of every key that the page describes."""
    found = {}
    parts = re.split(r"^\.S[hs] (.+)\n", SOURCE, flags=re.MULTILINE)[1:]
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        for key, kind, *what in entries(title, body):
            assert (key, kind) not in found or title == f"Kind {kind}"  # it has its own default
            found[key, kind] = tuple(what)
    return found


def entries(title, body):
    described = ENTRY.findall(body)
    assert len(described) == body.count("\n.It Ic "), f"an entry of {title} lacks type or default"
    for key, kind_of_value, clause, value in described:
        default = value.replace(r"\(dq", '"') or clause
        for kind in SECTIONS[title] or ("",):
            yield key, kind, kind_of_value.replace(r"\(dq", '"'), default


def accepted() -> dict[tuple[str, str], KeyInfo]:
    return {(info.key, kind): info for info in keys() for kind in info.kinds or ("",)}


def test_the_page_has_exactly_the_keys():
    """Every key of every kind is described in the section of its kind, and no other key is."""
    described = documented().keys()
    assert sorted(described) == sorted(accepted())


@pytest.mark.parametrize(("key", "kind"), sorted(accepted()))
def test_type_and_default(key, kind):
    """The page states the type and the default of each key."""
    info = accepted()[key, kind]
    type_, default = documented()[key, kind]
    assert type_ == info.type
    if info.required:
        assert default == "required."
    elif info.default is None:
        assert default.startswith("default: ")
    else:
        whole = isinstance(info.default, float) and info.default.is_integer()
        assert default == format_value(int(info.default) if whole else info.default)


def test_the_keys_that_need_no_restart():
    """The page lists exactly the keys that a reload applies without a restart."""
    section = SOURCE.partition(".Sh RELOADING\n")[2].partition(".Ed")[0].partition(".Bd")[2]
    lines = re.findall(r"^\.Ic (.+)$", section, re.MULTILINE)
    assert {key for line in lines for key in re.findall(r"[\w.]+", line)} == live_keys()


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_the_page_is_clean_mdoc():
    """Mandoc reports no warnings for the page."""
    lint = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", PAGE], capture_output=True, text=True, check=False
    )
    assert lint.stdout + lint.stderr == ""


EXAMPLES = re.findall(
    r"^\.Bd -literal -offset indent\n(.*?)^\.Ed", SOURCE, re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_loads(tmp_path, example):
    """Every example configuration on the page loads."""
    file = tmp_path / "pyroctl.toml"
    file.write_text(example, encoding="utf-8")
    assert load(str(file), {}, "/").deployment.services
