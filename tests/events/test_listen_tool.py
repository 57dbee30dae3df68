"""What `pyroctl es listen` executes: every event is a line of its own, whatever is in it."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pyro_events import Publisher, codec, numpy_codec
from tests.events.service_harness import read_line
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.service_harness import Process, Running, Start

    Listen = Callable[..., Process]

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
def es(engine: Any) -> Running:
    running: Running = engine()
    return running


@pytest.fixture
def listen(process: Start, es: Running) -> Listen:
    """Starts the tool, and returns when it is subscribed."""

    def start(*options: str, **environment: str) -> Process:
        before = len(es.subscriptions())
        arguments = ("-m", "pyro_events._app.tool", "listen", "--es", es.uri, *options)
        made = process(*arguments, first_line=False, **environment)
        eventually(lambda: len(es.subscriptions()) > before)
        return made

    return start


@pytest.fixture
def pub(es: Running) -> Iterator[Publisher]:
    numpy_codec.register()
    with Publisher(es.uri) as publisher:
        yield publisher
    numpy_codec.unregister()


FRAME = np.zeros((480, 640), np.uint8)
MESSAGES: list[tuple[Any, str, Any]] = [
    (FRAME, "array(480×640, uint8)", "array(480×640, uint8)"),
    (
        {"a": [FRAME, (np.float64(1.5),)]},
        "{'a': [array(480×640, uint8), (1.5,)]}",
        {"a": ["array(480×640, uint8)", [1.5]]},
    ),
    (np.array(1), "array(scalar, int64)", "array(scalar, int64)"),
    ({(1, 2): 1, None: 2}, "{(1, 2): 1, None: 2}", {"(1, 2)": 1, "null": 2}),
    ([float("nan"), float("inf")], "[nan, inf]", [None, None]),
    (b"\x00\n", r"b'\x00\n'", r"b'\x00\n'"),
    ("a\nb\x1b[2J\r\u2028\x85ö", r"a\nb\x1b[2J\r\u2028\x85ö", "a\nb\x1b[2J\r\u2028\x85ö"),
    ({"k": "\x1b]0;title\x07"}, r"{'k': '\x1b]0;title\x07'}", {"k": "\x1b]0;title\x07"}),
]


def test_a_line_each(listen: Listen, pub: Publisher) -> None:
    """Arrays are shown in brief; what would move a cursor, or begin a line, is escaped."""
    text, as_json = listen(), listen("--json")
    for number, (message, shown, value) in enumerate(MESSAGES):
        pub.publish(f"s\u202e{number}", message)
        for tool, expected in ((text, shown), (as_json, value)):
            assert tool.process.stdout is not None
            line = read_line(tool.process.stdout)  # at once, though it is a pipe
            if tool is text:
                assert line.split(" ", 2)[1:] == [rf"s\u202e{number}", expected + "\n"]
            else:
                assert line.isascii()
                assert json.loads(line) | {"time": 0} == {
                    "subject": f"s\u202e{number}", "time": 0, "msg": expected,
                }  # fmt: skip
    for tool in (text, as_json):
        tool.signal(signal.SIGINT)
        assert tool.end() == (130, "", "")


def test_a_locale_without_such_characters(listen: Listen, pub: Publisher) -> None:
    """They are escaped as well."""
    tool = listen("--count", "1", PYTHONIOENCODING="ascii")
    pub.publish("a", "ö 480×640")
    status, out, err = tool.end()
    assert (status, err) == (0, "")
    assert out.endswith(r" a \xf6 480\xd7640" + "\n")


def test_unknown_classes(listen: Listen, pub: Publisher) -> None:
    """They can't be shown, which is one line on stderr; they are counted all the same."""

    class Own:
        pass

    codec.register(Own, "own", lambda _: {}, lambda _: Own())
    try:
        shown, rate = listen("--count", "1"), listen("--count", "1", "--rate")
        pub.publish("a\u202e", Own())
    finally:
        codec.unregister(Own)
    status, out, err = shown.end()
    assert (status, out) == (0, "")
    assert err.startswith(r"an event about 'a\u202e' can't be shown: ")
    assert len(err.splitlines()) == 1
    assert rate.end() == (0, "", "")


def test_a_slow_reader(listen: Listen, pub: Publisher) -> None:
    """It misses the oldest events, is told how many, and holds no publisher."""
    tool = listen("--json")
    tool.signal(signal.SIGSTOP)
    for number in range(20_000):
        pub.post("a", {"number": number, "ballast": "x" * 500})
    pub.flush(10)
    tool.signal(signal.SIGCONT)
    pub.publish("end", None)
    seen, missed = 0, 0
    assert tool.process.stdout is not None
    while '"end"' not in read_line(tool.process.stdout):
        seen += 1
    tool.signal(signal.SIGINT)
    status, _, err = tool.end()
    assert status == 130
    for line in err.splitlines():
        assert line.endswith("they came faster than they were read")
        missed += int(line.split()[1])
    assert missed > 0
    assert seen + missed == 20_000


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_has_gone(listen: Listen, pub: Publisher, options: tuple[str, ...]) -> None:
    """As in `es listen | head -1`: with the next event it ends, without a word."""
    tool = listen(*options)
    pub.publish("a", 1)
    assert tool.process.stdout is not None
    read_line(tool.process.stdout)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - for its descriptor
        os.dup2(nothing.fileno(), tool.process.stdout.fileno())
    pub.publish("a", 2)
    assert tool.end() == (0, "", "")


def test_a_full_device(process: Start, es: Running, pub: Publisher) -> None:
    """What can't be written is one line on stderr, and exit status 1."""
    script = f"exec > /dev/full; exec '{os.sys.executable}' -m pyro_events._app.tool listen --es "  # type: ignore[attr-defined]
    made = process("-c", "import os, sys; os.execvp('sh', ['sh', '-c', sys.argv[1]])",
                   script + es.uri, first_line=False)  # fmt: skip
    eventually(es.subscriptions)
    pub.publish("a", 1)
    status, _, err = made.end()
    assert status == 1
    assert "No space left on device" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("words", [("ä", "x"), ("x", "ä")])
def test_a_locale_that_is_not_utf_8_is_named(process: Start, words: tuple[str, str]) -> None:
    """The words can't be published as they are; the error says which variables help."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    tool = ("-m", "pyro_events._app.tool", "publish", "--es", "PYRO:x@localhost:1")
    status, out, err = process(*tool, *words, first_line=False, **plain).end()
    assert (status, out) == (1, "")
    assert err.endswith("; the locale isn't UTF-8: set PYTHONUTF8=1 or LC_ALL=C.UTF-8\n")
    assert len(err.splitlines()) == 1


def test_errors_of_the_system_have_no_number(process: Start) -> None:
    """The sentence and the file."""
    tool = ("-m", "pyro_events._app.tool", "publish", "--ident-file", "/nowhere/x", "a", "b")
    assert process(*tool, first_line=False).end() == (
        1, "", "/nowhere/x: No such file or directory\n",
    )  # fmt: skip
