"""config set and unset: one drop-in is written, and only if everything is valid with it."""

from __future__ import annotations

import json
import stat
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.config.check.schema_info import keys
from pyroctl.config.edit.change import DROPIN, is_in_effect, set_value, unset_value
from pyroctl.config.edit.json_schema import json_schema
from pyroctl.config.edit.keys import parse_key, parse_value, value_of
from pyroctl.config.load import Loaded, load
from pyroctl.config.source.diagnostics import dotted
from pyroctl.core.spec import NameServerOptions
from pyroctl.errors import ConfigError, UnknownService, UsageError

MAIN = """\
# mine
[services.ns]
kind = "nameserver"
port = 9090
[services."my.es"]
kind = "eventservice"
needs = ["ns"]
"""
PORT = ("services", "ns", "port")


@pytest.fixture
def file(tmp_path) -> str:
    path = tmp_path / "lab.toml"
    path.write_text(MAIN, encoding="utf-8")
    return str(path)


@pytest.fixture
def dropin(tmp_path) -> Path:
    return Path(tmp_path, "lab.d", DROPIN)


def port(loaded: Loaded) -> int | None:
    options = loaded.deployment.services["ns"].options
    assert isinstance(options, NameServerOptions)
    return options.port


def test_set_writes_the_drop_in_and_nothing_else(file, dropin):
    """The user's own file stays as it is, to the byte."""
    changed = set_value(file, PORT, 9000, {})
    assert changed.file == str(dropin)
    assert port(changed.loaded) == 9000
    assert Path(file).read_text(encoding="utf-8") == MAIN
    assert tomllib.loads(dropin.read_text(encoding="utf-8")) == {"services": {"ns": {"port": 9000}}}
    set_value(file, ("services", "my.es", "log", "keep"), 1, {})
    set_value(file, PORT, 9001, {})
    loaded = load(file, {}, "/")
    assert (port(loaded), loaded.deployment.services["my.es"].log.keep) == (9001, 1)
    assert [path.name for path in dropin.parent.iterdir()] == [DROPIN]


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        (PORT, 99999, "services.ns.port: must be at most 65535, got 99999"),
        (("services", "ns", "prot"), 1, "services.ns.prot: unknown key"),
        (("services", "ns", "needs"), ["nix"], 'services.ns.needs[0]: there is no service "nix"'),
        (("services", "new"), {"kind": "command"}, "services.new.command: is missing"),
    ],
)
def test_a_bad_value_changes_nothing(file, dropin, path, value, error):
    """The error has no place in a file that was never written, and no directory remains."""
    with pytest.raises(ConfigError) as caught:
        set_value(file, path, value, {})
    assert [str(found) for found in caught.value.diagnostics] == [error]
    assert not dropin.parent.exists()
    set_value(file, PORT, 9000, {})
    before = dropin.read_bytes()
    with pytest.raises(ConfigError):
        set_value(file, path, value, {})
    assert dropin.read_bytes() == before


def test_a_service_can_be_defined_and_taken_back(file, dropin):
    """A table is a value, too; the drop-in is removed with its last entry."""
    set_value(file, ("services", "new"), {"kind": "command", "command": "x"}, {})
    assert "new" in load(file, {}, "/").deployment.services
    assert unset_value(file, ("services", "new"), {}).wrote
    assert "new" not in load(file, {}, "/").deployment.services
    assert not dropin.parent.exists()


def test_unset_of_what_others_need_is_refused(file, dropin):
    """The result must be valid, as for `set`."""
    set_value(file, ("services", "new"), {"kind": "nameserver", "port": 0}, {})
    set_value(file, ("services", "my.es", "needs"), ["new"], {})
    before = dropin.read_bytes()
    with pytest.raises(ConfigError, match="1 error"):
        unset_value(file, ("services", "new"), {})
    assert dropin.read_bytes() == before


def test_unset_leaves_other_files_alone(file, dropin):
    """`unset` does not change what the user's own file contains."""
    changed = unset_value(file, PORT, {})
    assert (changed.wrote, changed.loaded.origin(PORT).file) == (False, file)
    assert not dropin.parent.exists()


def test_it_is_known_whether_a_value_is_in_effect(file, tmp_path):
    """A later drop-in and the environment take precedence."""
    changed = set_value(file, PORT, 9000, {})
    assert is_in_effect(changed.loaded, PORT, 9000, changed.file)
    overridden = set_value(file, PORT, 9001, {"PYROCTL_SERVICES_NS_PORT": "1"})
    assert not is_in_effect(overridden.loaded, PORT, 9001, changed.file)
    later = tmp_path / "lab.d" / "99.toml"
    later.write_text("services.ns.port = 2\n", encoding="utf-8")
    assert not is_in_effect(load(file, {}, "/"), PORT, 9001, changed.file)


def test_many_at_once_lose_nothing(file):
    """Each change is based on the result of the one before."""
    threads = [
        threading.Thread(target=set_value, args=(file, ("services", "ns", "env", f"V{n}"), "x", {}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    env = load(file, {}, "/").deployment.services["ns"].env
    assert env == {f"V{n}": "x" for n in range(8)}


def test_permissions_are_kept(file, dropin):
    """A drop-in that others may not read stays unreadable to them: it may contain secrets."""
    set_value(file, PORT, 9000, {})
    dropin.chmod(0o600)
    set_value(file, PORT, 9001, {})
    assert stat.S_IMODE(dropin.stat().st_mode) == 0o600


def test_a_broken_drop_in_of_ours_is_reported(file, dropin):
    """It isn't overwritten, because somebody has edited it."""
    dropin.parent.mkdir()
    dropin.write_text("= 1\n", encoding="utf-8")
    with pytest.raises(ConfigError):
        set_value(file, PORT, 1, {})
    assert dropin.read_text(encoding="utf-8") == "= 1\n"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=1))
def test_a_written_key_is_read_back(path):
    """A key of any names survives writing and parsing."""
    assert parse_key(dotted(tuple(path))) == tuple(path)


@pytest.mark.parametrize("text", ["", "a b", "a..b", "a = 1\nb", 'a"', "a]", "[a]#", "[[a]]\nb"])
def test_an_invalid_key_is_an_error(text):
    """The error is a usage error, never another exception."""
    with pytest.raises(UsageError):
        parse_key(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9000", 9000),
        ("true", True),
        ('"9000"', "9000"),
        ("[1, 2]", [1, 2]),
        ("{ a = 1 }", {"a": 1}),
        ("localhost", "localhost"),
        ("on-failure", "on-failure"),
        ("", ""),
        ("1\nb = 2", "1\nb = 2"),
        ("0027", "0027"),
    ],
)
def test_a_value_is_toml_or_text(text, value):
    """What isn't TOML is a string, and always a single value."""
    assert parse_value(text) == value


def test_values_of_keys(file):
    """A key may lead to a value, a table, nothing, or be impossible."""
    loaded = load(file, {}, "/")
    assert value_of(loaded, PORT) == 9090
    assert value_of(loaded, ("services", "my.es", "log"))["keep"] == 5
    assert value_of(loaded, ("services", "ns", "cwd")) is None
    assert value_of(loaded, ("services", "ns", "env", "NIX")) is None
    with pytest.raises(UsageError, match=r"no setting services\.ns\.prot"):
        value_of(loaded, ("services", "ns", "prot"))
    with pytest.raises(UnknownService):
        value_of(loaded, ("services", "es", "port"))


def test_the_schema_knows_every_key():
    """It is JSON, has no null, and names all keys of the manual with their kinds."""
    schema = json_schema()
    text = json.dumps(schema)
    assert "null" not in text
    assert '"ge"' not in text
    kinds = {
        branch["if"]["properties"]["kind"]["const"]: branch["then"]["properties"]
        for branch in schema["properties"]["services"]["additionalProperties"]["allOf"]
    }
    for info in keys():
        top = info.key.split(".")[0]
        if info.kinds:
            assert all(top in kinds[kind] for kind in info.kinds)
        else:
            assert top in schema["properties"]
    assert kinds["command"]["command"]["anyOf"][0] == {"type": "string"}
    assert {"const": "notify"} in kinds["command"]["ready"]["anyOf"]
    assert schema["$defs"].keys() >= {"Log", "Ready"}
