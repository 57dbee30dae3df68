"""What can't be served is explained in a sentence; tracebacks show only the user's code."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("nowhere:Thing", 125, "can't import nowhere: there is no module nowhere\n"),
        ("things:Conting", 125, "there is no Conting in module things"),
        ("things:Conting", 125, "did you mean Counting?"),
        ("things:Hidden", 125, "things:Hidden exposes nothing to clients: put @Pyro5.api.expose"),
        ("things:Wanting", 125, "things:Wanting can't be called as the host does: missing a requi"),
        ("things:WantingSingle", 125, "missing a required argument: 'device'; set args and"),
        ("things:Abstract", 125, "things:Abstract is abstract: it lacks count"),
        ("things:BadCreator", 125, "creator of things:BadCreator can't be called as the host does"),
        ("things:wanting()", 125, "things:wanting() can't be called as the host does: missing a r"),
        ("things:make", 125, "things:make is a function: to serve what it returns"),
        ("things:os", 125, "the module things:os has nothing that clients can call"),
        ("things:fail()", 1, "things:fail() failed: RuntimeError: no camera found"),
        ("things:Broken", 1, "things:Broken can't be created: RuntimeError: the instrument is off"),
        ("things", 125, "the module things ended without serving: it never called requestLoop()"),
    ],
)
def test_what_can_not_be_served_is_explained(host, target, code, said):
    """The exit status is 125 for permanent errors, 1 for others; one sentence has the reason."""
    found, errors = host(target).end()
    assert (found, said in errors) == (code, True), errors
    assert "pyro_host/" not in errors


def test_a_missing_module_is_explained_by_where_it_was_searched(host, tmp_path):
    """The error lists the directories in order, and marks missing ones."""
    hosted = host("nowhere:Thing", "--path", str(tmp_path / "gone"))
    code, errors = hosted.end()
    assert code == 125
    assert f"searched for modules in\n  {HERE}\n  {tmp_path}/gone (which doesn't exist)\n" in errors
    assert errors.endswith("\npyro_host: can't import nowhere: there is no module nowhere\n")


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("import nonsense_x", 125, "can't import mine: ModuleNotFoundError: No module named 'nons"),
        ("def f(:", 125, "can't import mine: SyntaxError: invalid syntax ("),
        ("import sys; sys.exit('no')", 125, "can't import mine: SystemExit: no"),
        ("1 / 0", 125, "can't import mine: ZeroDivisionError: division by zero"),
        ("open('/no/device')", 1, "can't import mine: FileNotFoundError: "),
    ],
)
def test_a_faulty_module_gets_the_traceback_of_its_own_code(host, tmp_path, source, code, said):
    """Its line is shown, and nothing of ours or of Python's import system."""
    (tmp_path / "mine.py").write_text(f"# the first line\n{source}\n")
    found, errors = host("mine:Thing", path=tmp_path).end()
    assert (found, said in errors) == (code, True), errors
    assert f'File "{tmp_path}/mine.py", line 2' in errors
    assert "importlib" not in errors
    assert "pyro_host/" not in errors


def test_a_module_in_the_directory_can_not_stand_in_for_pythons_own(host, tmp_path):
    """A file called socket.py beside the object doesn't break the host."""
    (tmp_path / "socket.py").write_text("raise RuntimeError('not me')\n")
    (tmp_path / "mine.py").write_text((HERE / "things.py").read_text())
    hosted = host("mine:Counting", path=tmp_path)
    hosted.ready()
    with hosted.proxy() as proxy:
        assert proxy.count() == 1


def test_a_taken_port_is_named(host):
    """It tries no other port, exits with 1, and prints a hint."""
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        code, errors = host("things:Counting", "--port", str(port)).end()
    assert code == 1
    assert f"port {port} on localhost is taken by another program" in errors
