"""Log files: written with time stamps, rotated, bounded, and read again from the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pyroctl.cli import logfiles
from pyroctl.core.spec import LogSpec
from pyroctl.manager.logs import LONGEST_LINE, LogFile

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Clock:
    """Advances by a second at each look."""

    def __init__(self) -> None:
        self.seconds = 0

    def __call__(self) -> datetime:
        self.seconds += 1
        return NOON + timedelta(seconds=self.seconds)


def make(path: Path, max_bytes: int = 1000, keep: int = 2) -> LogFile:
    return LogFile(str(path), LogSpec(max_bytes, keep), Clock())


def texts(path: Path, count: int | None = None) -> list[str]:
    return [line.text for line in logfiles.last_lines({"es": str(path)}, count)]


def test_each_line_gets_the_time_in_front(tmp_path: Path) -> None:
    """A line in the file is an ISO 8601 time with offset, a blank, and what was said."""
    log = make(tmp_path / "es.log")
    log.feed(b"one\ntw")
    log.feed(b"o\n")
    log.close()
    assert (tmp_path / "es.log").read_text() == (
        "2026-05-04T12:00:01.000+00:00 one\n2026-05-04T12:00:02.000+00:00 two\n"
    )


def test_what_has_no_newline_at_the_end_is_kept(tmp_path: Path) -> None:
    """The last words of a service that dies in the middle of a line are in the log."""
    log = make(tmp_path / "es.log")
    log.feed(b"aaargh")
    log.finish()
    log.close()
    assert texts(tmp_path / "es.log") == ["aaargh"]
    assert log.last_lines() == ["aaargh"]


def test_the_files_together_stay_within_their_bound(tmp_path: Path) -> None:
    """`keep` rotated files and the current one, none larger than max_bytes."""
    log = make(tmp_path / "es.log", max_bytes=1000, keep=2)
    for number in range(500):
        log.feed(b"line %d\n" % number)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [f.name for f in files] == ["es.log", "es.log.1", "es.log.2"]
    assert all(f.stat().st_size <= 1000 for f in files)
    lines = texts(tmp_path / "es.log")
    assert lines == [f"line {n}" for n in range(500 - len(lines), 500)]


def test_keeping_no_rotated_file_is_possible(tmp_path: Path) -> None:
    """keep = 0 begins a new file each time."""
    log = make(tmp_path / "es.log", max_bytes=100, keep=0)
    for number in range(50):
        log.feed(b"line %d\n" % number)
    log.close()
    assert [f.name for f in tmp_path.iterdir()] == ["es.log"]


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    """It is broken up instead."""
    log = make(tmp_path / "es.log", max_bytes=10**7)
    for _ in range(10):
        log.feed(b"x" * (LONGEST_LINE // 2 + 1))
    log.finish()
    log.close()
    assert sum(len(t) for t in texts(tmp_path / "es.log")) == 10 * (LONGEST_LINE // 2 + 1)


def test_output_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    """A log that can't be written costs the service nothing, and isn't lost silently."""
    log = make(tmp_path / "missing" / "es.log")
    log.feed(b"hello\n")
    assert log.lost_bytes == len("2026-05-04T12:00:01.000+00:00 hello\n")
    (tmp_path / "missing").mkdir()
    log.feed(b"again\n")
    log.close()
    assert texts(tmp_path / "missing" / "es.log") == ["again"]


def test_after_reopen_a_moved_file_stays_as_it_is(tmp_path: Path) -> None:
    """What logrotate and its like need (SIGUSR1)."""
    log = make(tmp_path / "es.log")
    log.feed(b"old\n")
    (tmp_path / "es.log").rename(tmp_path / "away")
    log.reopen()
    log.feed(b"new\n")
    log.close()
    assert texts(tmp_path / "es.log") == ["new"]
    assert texts(tmp_path / "away") == ["old"]


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1), max_size=60
    ),
    st.integers(0, 70),
    st.integers(100, 4000),
)
def test_the_last_lines_are_read_from_the_end_across_rotations(
    lines: list[str], count: int, max_bytes: int
) -> None:
    """Reading backwards gives what reading everything and cutting off would give."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "es.log"
        log = make(path, max_bytes=max_bytes, keep=200)
        for line in lines:
            log.feed(line.encode() + b"\n")
        log.close()
        assert texts(path, count) == (lines[-count:] if count else [])


def test_several_services_are_merged_in_order_of_time(tmp_path: Path) -> None:
    """Who said what when: one clock, one order."""
    clock = Clock()
    files = {name: LogFile(str(tmp_path / name), LogSpec(), clock) for name in ("ns", "es")}
    for number in range(6):
        files["ns" if number % 2 else "es"].feed(b"%d\n" % number)
    for log in files.values():
        log.close()
    found = logfiles.last_lines({n: str(tmp_path / n) for n in files}, 5)
    assert [(line.service, line.text) for line in found] == [
        *(("ns", "1"), ("es", "2"), ("ns", "3"), ("es", "4"), ("ns", "5"))
    ]
    since = logfiles.last_lines(
        {n: str(tmp_path / n) for n in files}, None, NOON + timedelta(seconds=5)
    )
    assert [line.text for line in since] == ["4", "5"]
