"""es(1) and pyro-events(7) describe exactly what the programs do."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import pyro_events
from pyro_child.options import declared
from pyro_events import codec, errors
from pyro_events._app.options import parser
from pyro_events._broker.rpc.remote import EventServiceObject
from pyro_events._broker.settings import ServiceOptions

MAN = Path(__file__).parents[2] / "man"
ES = (MAN / "es.1").read_text()
EVENTS = (MAN / "pyro-events.7").read_text()


def section(page: str, title: str) -> str:
    return page.partition(f".Sh {title}\n")[2].partition("\n.Sh ")[0]


def flags(text: str) -> set[str]:
    return {
        f"-{flag}" for line in text.splitlines() for flag in re.findall(r"\bFl (-?[\w-]+)", line)
    }


def plain(page: Path) -> str:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed; `make check` needs it")
    shown = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=500", page],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return re.sub(r".\x08", "", shown.stdout)


def test_every_option_is_described_and_none_invented() -> None:
    """es(1) lists exactly the short and long options of the program."""
    known = {flag for action in parser()._actions for flag in action.option_strings}
    described = {
        flag
        for line in section(ES, "OPTIONS").splitlines()
        if line.startswith(".It Fl")
        for flag in flags(line)
    }
    assert described == known
    assert flags(section(ES, "SYNOPSIS")) <= known


@pytest.mark.parametrize("option", declared(ServiceOptions), ids=lambda option: option.name)
def test_an_option_is_described_as_declared(option) -> None:
    """The entry of each option has its flags, its unit, its default and its choices."""
    flags = option.metadata["flags"] or ["--" + option.name.replace("_", "-")]
    entry = section(ES, "OPTIONS").partition(f".It Fl {flags[0][1:]}")[2].partition("\n.It Fl")[0]
    first, _, text = entry.partition("\n")
    metavar = {"host": "HOST", "when_full": "POLICY", "register": "", "trusted": ""}
    unit = option.metadata["unit"]
    shown = (
        unit.metavar if unit else metavar.get(option.name, option.metadata["more"].get("metavar"))
    )
    assert re.findall(r"Ar (\S+)", first) == ([shown] * len(flags) if shown else [])
    if isinstance(option.default, (int, float)) and not isinstance(option.default, bool):
        seconds = " seconds" if unit.metavar == "SECONDS" else ""
        assert format(option.default, unit.form) + seconds in text
    choices = option.metadata["more"].get("choices", ())
    assert re.findall(r"^\.It Cm (\S+)", text, re.MULTILINE) == [*choices]
    if choices:
        default = text.partition(f".It Cm {option.default}\n")[2].partition(".It Cm")[0]
        assert "This is the default." in default


def test_every_exit_status_is_described() -> None:
    """es(1) lists 0, 1, 2 and the code for a permanent failure."""
    text = section(ES, "EXIT STATUS")
    assert re.findall(r"^\.It (\d+)", text, re.MULTILINE) == ["0", "1", "2", "125"]


def test_every_remote_method_is_described() -> None:
    """pyro-events(7) lists exactly the methods that a proxy can call."""
    text = section(EVENTS, "METHODS OF THE EVENT SERVICE")
    described = set(re.findall(r"^\.It Fn (\w+)", text, re.MULTILINE))
    assert described == set(EventServiceObject.public)


@pytest.mark.parametrize("title", ["PUBLISHER", "SUBSCRIBER"])
def test_every_method_and_argument_of_the_helpers_is_described(title: str) -> None:
    """pyro-events(7) lists all public methods, and all arguments with their defaults."""
    cls: Any = getattr(pyro_events, title.capitalize())
    text = section(EVENTS, title)
    described = {
        name for line in re.findall(r"^\.It Fn (\w+)", text, re.MULTILINE) for name in [line]
    }
    public = {name for name, _ in inspect.getmembers(cls, callable) if not name.startswith("_")}
    assert described == public
    signature = text.partition("\n.Pp")[0].replace("\\\n", "")
    shown = dict(re.findall(r'(\w+)="?([\w.]+)', signature))
    parameters = list(inspect.signature(cls).parameters.values())
    expected = {p.name: str(p.default) for p in parameters}
    expected = {name: default.removesuffix(".0") for name, default in expected.items()}
    assert shown == expected


def test_every_error_is_described() -> None:
    """pyro-events(7) lists exactly the exceptions of pyro_events.errors."""
    described = set(re.findall(r"^\.It Li (\w+)", section(EVENTS, "EXCEPTIONS"), re.MULTILINE))
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert described == defined - {"EventServiceError"}


def test_every_type_of_message_is_described() -> None:
    """The table lists exactly the types that the codec accepts."""
    table = section(EVENTS, "MESSAGES").partition(".Bl -column")[2].partition(".El")[0]
    described = {word for line in re.findall(r"\.It Li ([^\n]*?) Ta", table)
                 for word in re.split(r" , ", line.strip())}  # fmt: skip
    taken = {cls.__name__ for cls in (*codec._PLAIN, *codec.Codec()._encoders)}
    assert described == {"None" if name == "NoneType" else name for name in taken}


def test_the_guides_show_python() -> None:
    """Every block of the documentation that claims to be Python is."""
    pages = sorted((MAN.parent / "docs").rglob("*.md"))
    blocks = [
        (str(page), block)
        for page in pages
        for block in re.findall(
            r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
        )
    ]
    assert len(blocks) > 5
    for page, block in blocks:
        compile(block, page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("page", ["es.1", "pyro-events.7"])
def test_the_pages_can_be_read(page: str) -> None:
    """The linter reports no warnings, and the page renders on a terminal."""
    shown = plain(MAN / page)
    assert "pyro" in shown
    linted = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", MAN / page],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert linted.stdout + linted.stderr == ""


def test_the_docstring_of_an_event_service_has_every_argument() -> None:
    """The arguments come from the options' declarations, and none is forgotten in the docs."""
    words = set(re.findall(r"\w+", pyro_events.EventService.__doc__ or ""))
    assert {option.name for option in declared(ServiceOptions)} <= words
    assert inspect.signature(pyro_events.EventService) == inspect.signature(ServiceOptions)
