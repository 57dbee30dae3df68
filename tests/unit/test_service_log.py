"""A service's log, whose reader may take nothing for a while, or for ever."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import warnings
from typing import TYPE_CHECKING

import pytest

from pyro_child.log import KEPT, LogHandler
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = "x" * 99


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.fixture
def handler(pipe: tuple[int, int]) -> Iterator[LogHandler]:
    _, writer = pipe
    found = LogHandler("%(message)s", writer)
    yield found
    found.close()
    eventually(lambda: _read_by_now(pipe[0], found))  # its thread uses the descriptor until then
    os.close(found._file)


def log(handler: LogHandler, text: str) -> None:
    handler.handle(logging.LogRecord("test", logging.INFO, "", 0, text, None, None))


def _read_by_now(reader: int, handler: LogHandler) -> bool:
    """Take what the handler's thread has written, and return whether there is none any more."""
    with contextlib.suppress(OSError):  # nothing yet, or a test has closed it
        os.set_blocking(reader, False)
        os.read(reader, 1 << 16)
    return handler._thread is None


def read_until(reader: int, end: str) -> str:
    found = b""
    while not found.endswith(end.encode()):
        found += os.read(reader, 1 << 16)
    return found.decode()


def test_a_line_is_written_at_once(pipe: tuple[int, int], handler: LogHandler) -> None:
    """No thread is needed while the reader reads."""
    threads = threading.active_count()
    log(handler, "hello")
    assert os.read(pipe[0], 100) == b"hello\n"
    assert threading.active_count() == threads


def test_nobody_waits_for_a_reader(pipe: tuple[int, int], handler: LogHandler) -> None:
    """The oldest lines are dropped, and counted; those that are kept follow as soon as it reads."""
    began = time.monotonic()
    for number in range(20_000):
        log(handler, f"{number} {LINE}")
    assert time.monotonic() - began < 10
    lines = read_until(pipe[0], f"19999 {LINE}\n").splitlines()
    (notice,) = [line for line in lines if "dropped" in line]
    numbers = [int(line.split()[0]) for line in lines if line != notice]
    assert numbers == sorted(numbers)
    assert notice == f"{20_000 - len(numbers)} lines of the log were dropped: nobody read it"
    assert numbers[lines.index(notice) :][-1] == 19_999
    assert len(lines[lines.index(notice) + 1 :]) * 106 <= KEPT
    eventually(lambda: handler._thread is None)
    log(handler, "hello")
    assert os.read(pipe[0], 100) == b"hello\n"


def test_without_a_reader_nothing_is_kept(pipe: tuple[int, int], handler: LogHandler) -> None:
    """A log that nobody can ever read costs nothing."""
    os.close(pipe[0])
    log(handler, "hello")
    assert not handler._unwritten()


def test_the_end_waits_only_a_moment(pipe: tuple[int, int], handler: LogHandler) -> None:
    """What a stopped reader never takes doesn't keep a process from ending."""
    for _ in range(2000):
        log(handler, LINE)
    began = time.monotonic()
    handler.close()
    assert time.monotonic() - began < 5


def test_a_descriptor_that_blocks_is_not_waited_for(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that may not be opened again, as that of another user, is written to with care."""
    monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(PermissionError()))
    handler = LogHandler("%(message)s", pipe[1])
    for number in range(2000):
        log(handler, f"{number} {LINE}")
    assert read_until(pipe[0], f"1999 {LINE}\n").startswith(f"0 {LINE}\n1 ")
    handler.close()


def test_a_forked_child_holds_no_second_descriptor(
    pipe: tuple[int, int], handler: LogHandler
) -> None:
    """It logs to the one that it inherited, and writes nothing that its parent kept."""
    for _ in range(1000):
        log(handler, LINE)
    own = handler._file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there may be threads
        pid = os.fork()
    if pid == 0:
        with contextlib.suppress(OSError):
            os.fstat(own)
            os._exit(1)
        os._exit(handler._file != pipe[1] or handler._unwritten())
    assert os.waitpid(pid, 0)[1] == 0


def test_control_characters_are_escaped(pipe: tuple[int, int], handler: LogHandler) -> None:
    """A client's text can't control the terminal of whoever reads the log."""
    log(handler, "a \x1b[31m b \x9b c \u202e d\te \x7f")
    assert os.read(pipe[0], 100) == b"a \\x1b[31m b \\x9b c \\u202e d\te \\x7f\n"
