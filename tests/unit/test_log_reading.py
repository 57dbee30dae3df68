"""Reading log files: from the end, in chronological order, also compressed or damaged ones."""

from __future__ import annotations

import gzip
import os
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pyroctl.cli.log_reader.follow import Tail
from pyroctl.core.spec import LogSpec
from pyroctl.log_reader import files
from pyroctl.log_reader.files import LogPosition, Source
from pyroctl.manager.output.logs import ServiceLog
from pyroctl.paths import log_versions

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def source(directory: Path, name: str = "es") -> Source:
    return Source(name, "output", str(directory / f"{name}.log"))


def make(directory: Path, **spec) -> ServiceLog:
    path = str(directory / "es")
    return ServiceLog(f"{path}.log", f"{path}.err", LogSpec(**spec))


def texts(lines) -> list[str]:
    return [line.text for line in lines]


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1), max_size=60
    ),
    st.integers(0, 70),
    st.integers(100, 4000),
    st.booleans(),
)
def test_the_last_lines_are_read_from_the_end_across_files(
    lines: list[str], count: int, max_bytes: int, packed: bool
) -> None:
    """Reading backwards returns the end of what reading everything returns."""
    with tempfile.TemporaryDirectory() as name:
        log = make(Path(name), max_bytes=max_bytes, keep=200, gzip=packed)
        for line in lines:
            log.write_output(line.encode() + b"\n")
        log.close()
        found = files.last_lines([source(Path(name))], count)
        assert texts(found) == (lines[-count:] if count else [])
        everything = files.lines_since([source(Path(name))], NOON - timedelta(days=9999))
        assert texts(everything) == lines


def write(directory: Path, name: str, *lines: str) -> Source:
    (directory / f"{name}.log").write_text("".join(line + "\n" for line in lines))
    return source(directory, name)


def test_several_services_are_merged_in_order_of_time_whatever_the_offsets(tmp_path: Path) -> None:
    """Managers and readers may have different time zones."""
    found = [
        write(tmp_path, "a", "2026-10-25T02:30:00.000+02:00 1", "2026-10-25T02:10:00.000+01:00 3"),
        write(tmp_path, "b", "2026-10-25T00:45:00.000+00:00 2", "2026-10-25T01:20:00.000+00:00 4"),
    ]
    assert texts(files.last_lines(found, 9)) == ["1", "2", "3", "4"]
    assert texts(files.last_lines(found, 2)) == ["3", "4"]
    since = datetime.fromisoformat("2026-10-25T02:05:00+01:00")
    assert texts(files.lines_since(found, since)) == ["3", "4"]


def test_only_lines_that_match_are_counted(tmp_path: Path) -> None:
    """The last two matching lines are found, however old they are."""
    lines = [
        f"2026-05-04T12:00:00.000+00:00 {'ERROR' if n % 10 == 0 else 'ok'} {n}" for n in range(99)
    ]
    found = files.last_lines([write(tmp_path, "es", *lines)], 2, re.compile("^ERR"))
    assert texts(found) == ["ERROR 80", "ERROR 90"]


def test_a_line_without_a_time_stays_in_its_place(tmp_path: Path) -> None:
    """A line that another program wrote is shown, too."""
    found = write(tmp_path, "es", "2026-05-04T12:00:00.000+00:00 a", "scribble", "\x00")
    assert [line.time for line in files.last_lines([found], 9)][1:] == ["scribble", "\x00"]


def test_a_damaged_file_is_read_as_far_as_possible_and_reported(tmp_path: Path) -> None:
    """The damage is reported, and the other files are read."""
    found = write(tmp_path, "es", "2026-05-04T12:00:01.000+00:00 new")
    whole = gzip.compress(b"2026-05-04T12:00:00.000+00:00 old\n" * 9000)
    (tmp_path / "es.log.1.gz").write_bytes(whole[: len(whole) // 2])
    lines = texts(files.last_lines([found], 99999))
    assert lines[-1] == "new"
    assert "is damaged" in lines[-2]
    assert lines.count("old") > 100


def test_a_file_that_was_just_compressed_is_read_once(tmp_path: Path) -> None:
    """Its writer died before removing the plain file."""
    write(tmp_path, "es", "x")
    (tmp_path / "es.log.1").write_text("plain")
    (tmp_path / "es.log.1.gz").write_bytes(gzip.compress(b"packed"))
    (tmp_path / "es.log.part").write_text("half")
    (tmp_path / "es.log.old").write_text("theirs")
    names = [os.path.basename(path) for path in log_versions(str(tmp_path / "es.log"))]  # noqa: PTH119
    assert names == ["es.log", "es.log.1.gz"]


def test_reader_and_follower_share_a_line_to_neither(tmp_path: Path) -> None:
    """The reader has the lines before the start of the tail, and the tail the later ones."""
    log = make(tmp_path)
    log.write_output(b"before\n")
    tail = Tail(source(tmp_path))
    log.write_output(b"after\n")
    assert texts(files.last_lines([tail.source], 9)) == ["before"]
    assert texts(files.lines_since([tail.source], NOON - timedelta(days=9999))) == ["before"]
    assert texts(tail.read()) == ["after"]
    log.close()
    tail.close()


def test_a_tail_of_a_file_that_is_missing_begins_with_its_first_line(tmp_path: Path) -> None:
    """The service may not have written anything yet."""
    tail = Tail(source(tmp_path))
    assert tail.source.end == LogPosition(0, 0)
    assert list(tail.read()) == []
    log = make(tmp_path, max_bytes=100)
    for number in range(10):
        log.write_output(b"%d\n" % number)
    assert files.last_lines([tail.source], 9) == []
    assert texts(tail.read()) == [str(n) for n in range(10)]
    log.close()
    tail.close()


def test_a_tail_reports_lines_that_were_removed_before_it_read_them(tmp_path: Path) -> None:
    """A follower that was too slow reports that lines may be missing."""
    log = make(tmp_path, max_bytes=100, keep=1)
    log.write_output(b"0\n")
    tail = Tail(source(tmp_path))
    for number in range(1, 50):
        log.write_output(b"%d\n" % number)
    seen = texts(tail.read())
    assert seen[:2] == ["1", "2"]
    assert "may be missing" in seen[2]
    assert seen[-1] == "49"
    log.close()
    tail.close()
