"""Lines that are not complete yet: in the file for readers, and taken back before anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.log_reader import files
from pyroctl.log_reader.files import Source
from pyroctl.cli.log_reader.follow import Tail
from pyroctl.core.spec import LogSpec
from pyroctl.manager.output.logs import ServiceLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pyroctl.log_reader.files import LogLine


class Later:
    """A timer that expires when the test wants it."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def __call__(self, delay: float, function: Callable[[], None]) -> Later:
        self.due.append(function)
        return self

    def cancel(self) -> None:
        self.due.clear()

    def expire(self) -> None:
        self.due.pop()()


def make(directory: Path, later: Later, **spec: int) -> ServiceLog:
    path = str(directory / "a")
    return ServiceLog(f"{path}.log", f"{path}.err", LogSpec(**spec), later=later)  # type: ignore[arg-type] # mypy: **dict


def texts(lines: Iterable[LogLine]) -> list[str]:
    return [line.text for line in lines]


def source(directory: Path) -> Source:
    return Source("a", "output", str(directory / "a.log"))


def test_an_unfinished_line_can_be_read_after_a_moment(tmp_path: Path) -> None:
    """It is the last line of the file until another one is written; files keep whole lines."""
    later = Later()
    log = make(tmp_path, later)

    def read() -> list[str]:
        return texts(files.last_lines([source(tmp_path)], 9))

    log.write_output(b"name")
    log.write_output(b"? ")
    assert (read(), len(later.due)) == ([], 1)
    later.expire()
    assert read() == ["name? "]
    log.note("stopping")
    assert read() == ["[pyroctl] stopping"]
    later.expire()
    assert read() == ["[pyroctl] stopping", "name? "]
    log.write_output(b"me\nnext ")
    assert read() == ["[pyroctl] stopping", "name? me"]
    later.expire()
    assert (log.unfinished(), read()[-1]) == (["next ", ""], "name? me")
    log.write_output(b"one")
    later.expire()
    log.finish()
    log.close()
    assert read() == ["[pyroctl] stopping", "name? me", "next one"]


def test_lines_of_two_processes_do_not_run_into_each_other(tmp_path: Path) -> None:
    """In a handover both write at once, and print() may write a line in two parts."""
    later = Later()
    log = make(tmp_path, later)
    log.write_output(b"PYRO:es@localhost:1", "old")
    log.write_output(b"taking over", "new")
    later.expire()
    assert texts(files.last_lines([source(tmp_path)], 9)) == ["taking over"]
    log.write_output(b"\nleaving\n", "old")
    assert log.last_lines() == ["PYRO:es@localhost:1", "leaving", "taking over"]
    log.finish()
    log.close()
    written = texts(files.last_lines([source(tmp_path)], 9))
    assert written == ["PYRO:es@localhost:1", "leaving", "taking over"]


def test_the_line_of_a_writer_that_was_killed_stays_a_line_of_its_own(tmp_path: Path) -> None:
    """The next manager completes it before it writes."""
    later = Later()
    killed = make(tmp_path, later)
    killed.write_output(b"one\nname? ")
    later.expire()
    log = make(tmp_path, Later())
    log.write_output(b"two\n")
    log.close()
    assert texts(files.last_lines([source(tmp_path)], 9)) == ["one", "name? ", "two"]


def test_rotated_files_have_whole_lines(tmp_path: Path) -> None:
    """An unfinished line moves into no older file, and never exceeds the limit of a file."""
    later = Later()
    log = make(tmp_path, later, max_bytes=100, keep=9)
    for number in range(10):
        log.write_output(b"%d\nhalf a " % number)
        later.expire()
        assert (tmp_path / "a.log").stat().st_size <= 100
        log.write_output(b"line\n")
    log.close()
    written = [text for number in range(10) for text in (str(number), "half a line")]
    assert texts(files.last_lines([source(tmp_path)], 99)) == written


def test_a_follower_has_the_whole_line_once(tmp_path: Path) -> None:
    """Whatever was shown of it, whatever came in between, and whenever the follower began."""
    later = Later()
    log = make(tmp_path, later)
    log.write_output(b"first\nname? ")
    later.expire()
    tail = Tail(source(tmp_path))
    assert texts(files.last_lines([tail.source], 9)) == ["first"]
    assert texts(tail.read()) == []
    begun = tail.unfinished()
    assert begun is not None
    assert begun.text == "name? "
    log.note("in between")
    assert texts(tail.read()) == ["[pyroctl] in between"]
    assert tail.unfinished() is None
    later.expire()
    assert texts(tail.read()) == []
    assert tail.unfinished() is not None
    log.write_output(b"me\n")
    assert texts(tail.read()) == ["name? me"]
    assert tail.unfinished() is None
    tail.close()
    log.close()
