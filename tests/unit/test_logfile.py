"""Log files: time stamps, rotation, bounds, and a count of what can't be written."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pyroctl.core.spec import LogSpec
from pyroctl.log_reader import files
from pyroctl.log_reader.files import Source
from pyroctl.manager.output.logs import ServiceLog
from tests.harness import eventually

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Clock:
    """Advances by a second at each look."""

    def __init__(self) -> None:
        self.seconds = 0

    def __call__(self) -> datetime:
        self.seconds += 1
        return NOON + timedelta(seconds=self.seconds)


class Log(ServiceLog):
    """A log below a directory; what it tells the manager is in `told`."""

    def __init__(self, directory: Path, **spec) -> None:
        self.warnings: list[str] = []
        super().__init__(
            str(directory / "es.log"),
            str(directory / "es.err"),
            LogSpec(**{"max_bytes": 1000, "keep": 2} | spec),
            warn=self.warnings.append,
            clock=Clock(),
        )


def sources(directory: Path) -> list[Source]:
    return [
        Source("es", "output", str(directory / "es.log")),
        Source("es", "stderr", str(directory / "es.err")),
    ]


def texts(directory: Path, count: int = 10**6) -> list[str]:
    return [line.text for line in files.last_lines(sources(directory), count)]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_each_line_gets_the_time_in_front(tmp_path: Path) -> None:
    """A line in the file is an ISO 8601 time with offset, a space, and the output."""
    log = Log(tmp_path)
    log.write_output(b"one\ntw")
    log.write_output(b"o\n")
    log.close()
    assert (tmp_path / "es.log").read_text() == (
        "2026-05-04T12:00:01.000+00:00 one\n2026-05-04T12:00:02.000+00:00 two\n"
    )


def test_stderr_goes_to_its_own_file_when_it_comes_apart(tmp_path: Path) -> None:
    """Incomplete lines of one don't mix with the other; the last lines are those of both."""
    log = Log(tmp_path)
    log.write_output(b"half a ")
    log.write_errors(b"oops\n")
    log.write_output(b"line\n")
    log.close()
    assert names(tmp_path) == ["es.err", "es.log"]
    assert (tmp_path / "es.err").read_text().endswith(" oops\n")
    assert texts(tmp_path) == ["oops", "half a line"]
    assert log.last_lines() == ["oops", "half a line"]


def test_what_has_no_newline_at_the_end_is_kept(tmp_path: Path) -> None:
    """The last output of a service that dies in the middle of a line is in the log."""
    log = Log(tmp_path)
    log.write_output(b"aaargh")
    log.finish()
    log.close()
    assert texts(tmp_path) == ["aaargh"]
    assert log.last_lines() == ["aaargh"]


def test_the_last_lines_are_at_hand(tmp_path: Path) -> None:
    """The last twenty are kept in memory, of the present run only."""
    log = Log(tmp_path, max_bytes=10**6)
    log.write_output(b"old\n")
    log.begin_run()
    log.write_output(b"a\n\nb\n")
    assert log.last_lines() == ["a", "", "b"]
    log.write_output(b"".join(b"%d\n" % n for n in range(100)))
    assert log.last_lines() == [str(n) for n in range(80, 100)]
    log.close()


@pytest.mark.parametrize("at_once", [True, False])
def test_the_files_together_stay_within_their_bound(tmp_path: Path, at_once: bool) -> None:
    """`keep` files put aside and the current one, none larger than max_bytes, no line cut."""
    log = Log(tmp_path, max_bytes=1000, keep=2)
    lines = [b"line %d\n" % number for number in range(500)]
    for data in [b"".join(lines)] if at_once else lines:
        log.write_output(data)
    log.close()
    assert names(tmp_path) == ["es.log", "es.log.1", "es.log.2"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    found = texts(tmp_path)
    assert found == [f"line {n}" for n in range(500 - len(found), 500)]
    assert len(found) > 40


def test_keeping_no_other_file_is_possible(tmp_path: Path) -> None:
    """keep = 0 begins a new file each time."""
    log = Log(tmp_path, max_bytes=100, keep=0, gzip=True)
    for number in range(50):
        log.write_output(b"line %d\n" % number)
    log.close()
    assert names(tmp_path) == ["es.log"]


def test_a_smaller_keep_removes_what_is_too_much(tmp_path: Path) -> None:
    """A smaller limit takes effect at the next rotation."""
    log = Log(tmp_path, max_bytes=100, keep=9)
    for number in range(50):
        log.write_output(b"line %d\n" % number)
    assert len(names(tmp_path)) == 10
    log.use(LogSpec(100, 1))
    log.write_output(b"x\n" * 10)
    log.close()
    assert names(tmp_path) == ["es.log", "es.log.1"]


def test_old_files_are_put_aside_whatever_their_size(tmp_path: Path) -> None:
    """max_age counts from a file's first line, also after the manager was started again."""
    log = Log(tmp_path, max_age=3)
    for number in range(3):  # at 12:00:01, :02, :03
        log.write_output(b"%d\n" % number)
    log.close()
    again = Log(tmp_path, max_age=3)
    again._clock.seconds = 3  # type: ignore[attr-defined] # the test's own clock
    again.write_output(b"3\n")
    again.close()
    assert (tmp_path / "es.log").read_text() == "2026-05-04T12:00:04.000+00:00 3\n"
    assert len((tmp_path / "es.log.1").read_text().splitlines()) == 3


def test_the_total_is_bounded(tmp_path: Path) -> None:
    """total_bytes removes the oldest files, however many `keep` allows."""
    log = Log(tmp_path, max_bytes=1000, keep=50, total_bytes=3500)
    for number in range(500):
        log.write_output(b"line %d\n" % number)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3500
    log.close()
    assert names(tmp_path) == ["es.log", "es.log.1", "es.log.2"]


def test_files_put_aside_are_compressed(tmp_path: Path) -> None:
    """They keep their numbers, their order and their lines; a compressed file ages on."""
    log = Log(tmp_path, max_bytes=1000, keep=50, gzip=True)
    for number in range(100):
        log.write_output(b"line %d\n" % number)
    eventually(lambda: all(n.endswith(".gz") for n in names(tmp_path)[1:]), "compressed")
    log.write_output(b"".join(b"line %d\n" % number for number in range(100, 130)))
    log.close()
    assert texts(tmp_path) == [f"line {n}" for n in range(130)]
    assert not any(name.endswith(".part") for name in names(tmp_path))
    with gzip.open(tmp_path / "es.log.4.gz", "rt") as file:
        assert "line" in file.readline()


def test_a_flood_outruns_the_compressor_without_loss_or_disorder(tmp_path: Path) -> None:
    """Files move on to higher numbers while they are being compressed."""
    log = Log(tmp_path, max_bytes=50_000, keep=1000, gzip=True)
    count = 40_000
    for start in range(0, count, 100):
        log.write_output(b"".join(b"line %d\n" % n for n in range(start, start + 100)))
    log.close()
    assert texts(tmp_path) == [f"line {n}" for n in range(count)]


def test_output_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    """A log that can't be written doesn't disturb the service, and lost lines are counted."""
    missing = tmp_path / "missing"
    missing.touch()
    log = Log(missing)
    log.write_output(b"hello\n")
    log.write_output(b"are you\nthere\n")
    assert log.lost_lines == 3
    assert log.lost_bytes == len("2026-05-04T12:00:01.000+00:00 helloare youthere\n\n\n") + 60
    missing.unlink()
    log.write_output(b"again\n")
    log.close()
    gap = f"[pyroctl] 3 lines ({log.lost_bytes} bytes) are missing here: Not a directory"
    assert texts(missing) == [gap, "again"]
    assert [warning.partition(" ")[2] for warning in log.warnings] == [
        "can't be written: Not a directory",
        f"can be written again; 3 lines ({log.lost_bytes} bytes) are missing",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_costs_lines_but_cuts_none(tmp_path: Path) -> None:
    """The file ends with a whole line; when there is room again, a line in it reports the gap."""
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting isn't permitted here")
    try:
        log = Log(small, max_bytes=10**6)
        for number in range(5000):
            log.write_output(b"line %d\n" % number)
        (small / "es.log").rename(small / "full")
        kept = (small / "full").read_bytes()
        assert kept.endswith(b"\n")
        assert kept.count(b"\n") + log.lost_lines == 5000
        (small / "full").unlink()
        log.write_output(b"again\n")
        log.close()
        gap, again = texts(small)
        assert gap.startswith(f"[pyroctl] {log.lost_lines} lines (")
        assert gap.endswith("are missing here: No space left on device")
        assert again == "again"
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize("how", ["rename", "unlink", "truncate"])
def test_a_file_that_was_removed_is_created_again(tmp_path: Path, how: str) -> None:
    """Output isn't written to a deleted file."""
    log = Log(tmp_path)
    log.write_output(b"old\n")
    path = tmp_path / "es.log"
    match how:
        case "rename":
            path.rename(tmp_path / "away")
        case "unlink":
            path.unlink()
        case "truncate":
            os.truncate(path, 0)
    log.write_output(b"new\n")
    log.close()
    assert texts(tmp_path) == ["new"]


def test_after_reopen_a_moved_file_stays_as_it_is(tmp_path: Path) -> None:
    """Logrotate and similar programs need this (SIGUSR1)."""
    log = Log(tmp_path)
    log.write_output(b"old\n")
    (tmp_path / "es.log").rename(tmp_path / "away")
    log.reopen()
    log.write_output(b"new\n")
    log.close()
    assert texts(tmp_path) == ["new"]
    assert (tmp_path / "away").read_text().endswith("old\n")
