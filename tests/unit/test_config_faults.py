"""Every mistake in a configuration is told with its place, its key and what to do about it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyroctl.config.load import load
from pyroctl.errors import ConfigError

CASES = Path(__file__).with_name("config_faults.txt").read_text(encoding="utf-8").split("===\n")[1:]


def faults_of(file: Path, environ=None) -> list[list[str]]:
    """Give the faults of a file as the lines that a person would read, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load(str(file), environ or {}, "/")
    faults = caught.value.diagnostics
    assert all(str(fault).startswith(f"{file}:") for fault in faults)
    told = [str(fault).removeprefix(f"{file}:").strip() for fault in faults]
    hints = [[fault.hint] if fault.hint else [] for fault in faults]
    return [[fault, *hint] for fault, hint in zip(told, hints, strict=True)]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "pyroctl.toml"


@pytest.mark.parametrize("case", CASES, ids=[case.partition("---\n")[2][:60] for case in CASES])
def test_one_fault(file, case):
    """A configuration with one mistake has exactly one fault, with place, key and hint."""
    text, _, expected = case.partition("---\n")
    file.write_text(text, encoding="utf-8")
    assert faults_of(file) == [expected.splitlines()]


@pytest.mark.parametrize(
    ("content", "fault"),
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
def test_files_that_nobody_would_write(file, content, fault):
    """Garbage is a fault like any other, never a traceback."""
    file.write_bytes(content)
    assert faults_of(file) == [fault]


def test_all_faults_are_told_at_once_in_the_order_of_the_file(file):
    """Mistakes of every sort are told together, whatever other mistakes are around them."""
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
    assert [fault for fault, *_ in faults_of(file)] == [
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


def test_every_circle_is_named_whole(file):
    """Two circles are two faults, each with all its services, from the first in the file."""
    needs = {"a": "b", "b": "a", "c": "d", "d": "e", "e": "c", "f": "a"}
    file.write_text(
        "".join(
            f'[services.{name}]\nkind = "command"\ncommand = "x"\nneeds = ["{other}"]\n'
            for name, other in needs.items()
        ),
        encoding="utf-8",
    )
    assert [fault for fault, *_ in faults_of(file)] == [
        "4:1: services.a.needs: services need each other in a cycle: a → b → a",
        "12:1: services.c.needs: services need each other in a cycle: c → d → e → c",
    ]


def test_faults_in_env_files_name_that_file(file):
    """What is wrong in an env file is placed in the env file."""
    env = file.with_name("lab.env")
    env.write_text("GOOD=1\n  1BAD=2\nnonsense\nOPEN='x\n", encoding="utf-8")
    file.write_text('[services.ns]\nkind = "nameserver"\nenv_file = "lab.env"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(str(file), {}, "/")
    assert [str(fault) for fault in caught.value.diagnostics] == [
        f'{env}:2:3: "1BAD" can\'t be the name of an environment variable',
        f"{env}:3:1: expected KEY=VALUE",
        f"{env}:4:1: the closing quote is missing, or something follows it",
    ]


@pytest.mark.parametrize("make", ["mkdir", "mkfifo", "missing"])
def test_what_is_no_file_is_a_fault(file, make):
    """A directory, a FIFO and nothing at all are faults; a FIFO is not waited for."""
    if make != "missing":
        getattr(os, make)(file)
    (fault,) = faults_of(file)
    assert fault[0] in {
        "is not a regular file",
        "can't be read: Is a directory",
        "can't be read: No such file or directory",
    }
