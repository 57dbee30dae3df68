"""Subjects and patterns are checked before anything is done, and no pattern blocks a client."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import tracemalloc

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyro_events._protocol.patterns import MATCH_TIMEOUT, Pattern, PatternTimeout
from pyro_events._protocol.subjects import check_patterns, check_subjects

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=255)


@given(texts)
def test_one_subject_is_a_sequence_of_one(subject: str) -> None:
    """A str is one subject, never a sequence of letters."""
    assert check_subjects(subject) == (subject,)


@given(st.lists(texts, min_size=1, max_size=5))
def test_subjects_stay_as_written_and_in_order(subjects: list[str]) -> None:
    """Case, order and repetition are preserved."""
    assert check_subjects(subjects) == check_subjects(tuple(subjects)) == tuple(subjects)


@pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\x7f", "\x9b"])
@pytest.mark.parametrize("more", ["", "ü"])
def test_control_characters_are_refused(character: str, more: str) -> None:
    """No subject can begin another line, or control the terminal that it is printed on."""
    with pytest.raises(ValueError, match="has control characters"):
        check_subjects(f"a{character}b{more}")
    with pytest.raises(ValueError, match="has control characters"):
        check_subjects(["good", f"a{character}b{more}"])


@pytest.mark.parametrize(
    ("subjects", "error", "words"),
    [
        ("", ValueError, "subject is empty"),
        ([], ValueError, "no subject given"),
        (["a", ""], ValueError, r"subjects\[1\] is empty"),
        ("a" * 256, ValueError, "'a+'… has 256 characters; at most 255"),
        (["ok", "b" * 300], ValueError, "has 300 characters"),
        (None, TypeError, "subjects must be a str or a sequence of str, not NoneType"),
        (5, TypeError, "not int: 5"),
        (b"bytes", TypeError, "not bytes: b'bytes'"),
        ({"a", "b"}, TypeError, "not set"),
        ({"a": 1}, TypeError, "not dict"),
        (["a", 7], TypeError, r"subjects\[1\] must be a str, not int: 7"),
        ([["a"]], TypeError, "subject must be a str, not list"),
        ("\udc80", ValueError, "can't be encoded"),
        (["a", "\udc80"], ValueError, r"subjects\[1\] '.udc80' can't be encoded"),
    ],
)
def test_a_bad_subject_is_named(subjects: object, error: type[Exception], words: str) -> None:
    """The error has the subject and the reason."""
    with pytest.raises(error, match=words):
        check_subjects(subjects)


@pytest.mark.parametrize(
    ("patterns", "error", "words"),
    [
        ("", ValueError, "pattern is empty"),
        (["a", "\udc80"], ValueError, r"patterns\[1\] '.udc80' can't be encoded"),
        ([], ValueError, "no pattern given"),
        (["a", "(b"], ValueError, r"pattern '\(b' is refused: missing \)"),
        ("*", ValueError, "nothing to repeat"),
        ("x" * 513, ValueError, "513 characters"),
        (None, TypeError, "patterns must be"),
        ([1], TypeError, "pattern must be a str, not int"),
        ("a{1001}", ValueError, "multiply to more than 1000"),
        ("a{1000000000}", ValueError, "multiply to more than 1000"),
        ("a{2,1000000000}", ValueError, "multiply to more than 1000"),
        ("(?:a{40}){40}", ValueError, "multiply to more than 1000"),
        ("(?:(?:(?:x{11}){11})?){11}", ValueError, "multiply to more than 1000"),
        (r"(?=(?:a{999}){2})", ValueError, "multiply to more than 1000"),
        ("[\0-\U0010ffff]" * 20, ValueError, "ranges are too wide"),
        ("(" * 200 + ")" * 200, ValueError, "refused|too many"),
        ("a{99999999999999999999}", ValueError, "too large"),
        (r"(a{e<=1}+)+$", ValueError, "must be written"),
        (r"([[:alpha:]]+)+$", ValueError, "must be written"),
    ],
)
@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
def test_a_bad_pattern_is_named(patterns: object, error: type[Exception], words: str) -> None:
    """Wrong type, wrong syntax and bombs are refused before they are compiled."""
    if patterns == "(" * 200 + ")" * 200:
        assert check_patterns(patterns)[0].match("")  # groups are free since Python 3.5
        return
    with pytest.raises(error, match=words):
        check_patterns(patterns)


def test_bombs_are_refused_without_being_compiled() -> None:
    """Gigabytes that `regex` would take are never asked for."""
    tracemalloc.start()
    try:
        for bomb in ("(a|b{1000000000})+$", "(?:(?:a{1000}){1000}|b+)+$"):
            with pytest.raises(ValueError, match="multiply"):
                check_patterns(bomb)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_pattern_that_unrolls_too_far_is_refused() -> None:
    """It would hold the interpreter's lock for a tenth of a second."""
    with pytest.raises(ValueError, match="unroll to more than 5000 parts"):
        check_patterns("((a|b|c|d)?){1000}" * 25)


@pytest.mark.parametrize("pattern", ["(a|aa)+$", "(a|a)*$", "(?:aa|a|aaa)+$"])
def test_endless_backtracking_is_cut_off(pattern: str) -> None:
    """The match raises within a moment."""
    (compiled,) = check_patterns(pattern)
    start = time.monotonic()
    with pytest.raises(PatternTimeout, match=re.escape(pattern)):
        compiled.match("a" * 39 + "c")
    assert time.monotonic() - start < MATCH_TIMEOUT + 2


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", r"([a-z]+)*\.end$", "(x+x+)+y", "a?" * 30 + "a" * 30]
)
def test_the_classic_freezers_are_harmless(pattern: str) -> None:
    """They either answer at once or are cut off."""
    (compiled,) = check_patterns(pattern)
    start = time.monotonic()
    with contextlib.suppress(PatternTimeout):
        assert not compiled.match("a" * 28 + "!")
    assert time.monotonic() - start < 2


def test_other_threads_run_while_a_pattern_backtracks() -> None:
    """The interpreter's lock isn't held by a pattern that may take long."""
    (compiled,) = check_patterns("(a|aa)+$")
    done = threading.Event()
    ticks = 0

    def backtrack() -> None:
        for _ in range(5):
            with pytest.raises(PatternTimeout):
                compiled.match("a" * 60 + "b")
        done.set()

    thread = threading.Thread(target=backtrack)
    thread.start()
    while not done.is_set():
        ticks += 1
        time.sleep(0)
    thread.join()
    assert ticks > 20


@pytest.mark.parametrize(
    "pattern",
    [
        ".*",
        r"^STOCKQUOTE\.S.*$",
        r"(?:lab|field)\..*\.temp",
        "a|b",
        "(a|b)+x?",
        r"\d{3}-\d{4}",
        "..*..*",
    ],
)
def test_everyday_patterns_use_re(pattern: str) -> None:
    """At most two open repeats need no time limit."""
    (compiled,) = check_patterns(pattern)
    assert "_by_re." in compiled._match.__qualname__ or pattern == "(a|b)+x?"


@pytest.mark.parametrize("pattern", ["a.*b.*c.*", r"(a)\1", "(a+)+", "(?:a|bc)*", r"(a)?(?(1)b|c)"])
def test_risky_patterns_are_timed(pattern: str) -> None:
    """Three open repeats, nested ones, back references and choices inside repeats."""
    (compiled,) = check_patterns(pattern)
    assert "_by_regex." in compiled._match.__qualname__


def test_two_open_repeats_are_fast_on_the_longest_subject() -> None:
    """The worst case left to `re` is too fast to be noticed."""
    (compiled,) = check_patterns(".*.*!")
    start = time.perf_counter()
    assert not compiled.match("a" * 255)
    assert time.perf_counter() - start < 0.1


FRAGMENTS = r"""
    a B c . [ab] [^a] a* b+? (?:ab)* (a|b) (?:a|bc)+ c? $ ^ \w \D \b (?=a) (?!b) a{1,3} (?:b{2})* |
    \. (?i:A) (?>a+) b++ (?:a*)* [a-c]{2,}? (?<=a) (?P<n>b)
"""
fragments = st.sampled_from(FRAGMENTS.split())


@given(st.lists(fragments, min_size=1, max_size=5), st.text("abcABC.", max_size=12))
def test_a_pattern_matches_as_with_re(parts: list[str], subject: str) -> None:
    """The answer is that of `re.match`, ignoring case, whichever engine matches."""
    text = "".join(parts)
    try:
        expected = re.compile(text, re.IGNORECASE).match(subject.lower())
    except re.error:
        with pytest.raises(ValueError, match="refused"):
            Pattern(text)
        return
    try:
        assert Pattern(text).match(subject) == (expected is not None)
    except PatternTimeout:
        assume(False)


@given(st.sampled_from([r"stock\.sun", r"STOCK\.S.*", "(s|S)tock.*", "(?:st|o|ck)+"]), st.data())
def test_matching_ignores_case(pattern: str, data: st.DataObject) -> None:
    """Pattern and subject may be written in any case."""
    (compiled,) = check_patterns(pattern)
    spelling = "".join(data.draw(st.sampled_from((c.lower(), c.upper()))) for c in "stock.sun")
    assert compiled.match(spelling)


def test_matching_starts_at_the_start() -> None:
    """Matching is re.match, as in the original, neither search nor fullmatch."""
    (compiled,) = check_patterns("stock")
    assert compiled.match("STOCKQUOTE")
    assert not compiled.match("my stock")
