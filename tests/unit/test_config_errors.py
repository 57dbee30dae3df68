"""Every error in a configuration is reported with its place, its key and a suggestion."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyroctl.config.load import load
from pyroctl.errors import ConfigError

CASES = Path(__file__).with_name("config_errors.txt").read_text(encoding="utf-8").split("===\n")[1:]


def errors_of(file: Path, environ=None) -> list[list[str]]:
    """Return the errors of a file as the lines that a user would read, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load(str(file), environ or {}, "/")
    errors = caught.value.diagnostics
    assert all(str(error).startswith(f"{file}:") for error in errors)
    texts = [str(error).removeprefix(f"{file}:").strip() for error in errors]
    hints = [[error.hint] if error.hint else [] for error in errors]
    return [[error, *hint] for error, hint in zip(texts, hints, strict=True)]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "pyroctl.toml"


@pytest.mark.parametrize("case", CASES, ids=[case.partition("---\n")[2][:60] for case in CASES])
def test_one_error(file, case):
    """A configuration with one error has exactly one error, with place, key and hint."""
    text, _, expected = case.partition("---\n")
    file.write_text(text, encoding="utf-8")
    assert errors_of(file) == [expected.splitlines()]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            b'[manager]\nname = "\xc3\xa9t\xe9"\n',
            ["2:11: is not UTF-8: unexpected byte 0xe9", "save the file as UTF-8"],
        ),
        (b"a = " + b"[" * 20_000, ["nested too deeply"]),
        (b"[services" + b".a" * 5_000 + b"]", ["nested too deeply"]),
        (b"a = " + b"9" * 5_000, ["an integer has too many digits"]),
        (
            b'[services.ns]\nkind = "nameserver"\nport = 0x' + b"f" * 5_000,
            ["3:1: services.ns.port: must be at most 65535, got about 2**20000"],
        ),
    ],
    ids=["latin-1", "deep", "dotted", "long", "long-hex"],
)
def test_garbage_files(file, content, error):
    """Garbage is an error like any other, never a traceback."""
    file.write_bytes(content)
    assert errors_of(file) == [error]


def test_all_errors_are_reported_at_once_in_the_order_of_the_file(file):
    """Errors of all sorts are reported together, whatever other errors are around them."""
    file.write_text(
        """\
typo = 1
[services.ns]
kind = "nameserver"
port = "9090"
host = "${NOWHERE}"
[services.es]
kind = "evenservice"
needs = ["nss", "feed"]
umask = "999"
colour = "red"
[services.feed]
kind = "command"
needs = ["es"]
env_file = "missing.env"
command = "feed"
[services.feed2]
kind = "command"
stop_timeout = -1
""",
        encoding="utf-8",
    )
    missing = file.with_name("missing.env")
    assert [error for error, *_ in errors_of(file)] == [
        "1:1: typo: unknown key",
        '4:1: services.ns.port: expected an integer, got the string "9090"',
        "5:1: services.ns.host: the environment variable NOWHERE is not set",
        '7:1: services.es.kind: there is no kind "evenservice"',
        '8:1: services.es.needs[0]: there is no service "nss"',
        "8:1: services.es.needs: services need each other in a cycle: es → feed → es",
        '9:1: services.es.umask: "999" is not a umask',
        "10:1: services.es.colour: unknown key",
        f"14:1: services.feed.env_file: {missing} can't be read: No such file or directory",
        "16:11: services.feed2.command: is missing",
        "18:1: services.feed2.stop_timeout: must be at least 0, got -1",
    ]


def test_every_cycle_is_named_whole(file):
    """Two cycles are two errors, each with all its services, from the first in the file."""
    needs = {"a": "b", "b": "a", "c": "d", "d": "e", "e": "c", "f": "a"}
    file.write_text(
        "".join(
            f'[services.{name}]\nkind = "command"\ncommand = "x"\nneeds = ["{other}"]\n'
            for name, other in needs.items()
        ),
        encoding="utf-8",
    )
    assert [error for error, *_ in errors_of(file)] == [
        "4:1: services.a.needs: services need each other in a cycle: a → b → a",
        "12:1: services.c.needs: services need each other in a cycle: c → d → e → c",
    ]


def test_faults_in_env_files_name_that_file(file):
    """Errors in an env file are located in the env file."""
    env = file.with_name("lab.env")
    env.write_text("GOOD=1\n  1BAD=2\nnonsense\nOPEN='x\n", encoding="utf-8")
    file.write_text('[services.ns]\nkind = "nameserver"\nenv_file = "lab.env"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(str(file), {}, "/")
    assert [str(error) for error in caught.value.diagnostics] == [
        f'{env}:2:3: "1BAD" can\'t be the name of an environment variable',
        f"{env}:3:1: expected KEY=VALUE",
        f"{env}:4:1: the closing quote is missing, or something follows it",
    ]


@pytest.mark.parametrize("make", ["mkdir", "mkfifo", "missing"])
def test_what_is_not_a_file_is_an_error(file, make):
    """A directory, a FIFO and a missing file are errors; a FIFO does not block."""
    if make != "missing":
        getattr(os, make)(file)
    (error,) = errors_of(file)
    assert error[0] in {
        "is not a regular file",
        "can't be read: Is a directory",
        "can't be read: No such file or directory",
    }
