"""The linter of wording: what it reads in which file, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "prose.py"


def lint(directory: Path, name: str, text: str) -> list[str]:
    """Return the findings in a file, as `LINE:COLUMN: TEXT`."""
    (directory / name).write_text(text)
    run = subprocess.run(
        [sys.executable, TOOL, name], cwd=directory, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert run.returncode == bool(run.stdout)
    return [
        ":".join(line.removeprefix(f"{name}:").split(":")[:3]) for line in run.stdout.splitlines()
    ]


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("Give the name.", "Give"),
        ("Say whether it runs.", "Say"),
        ("Return the name.", None),
        ("Wait; gives None.", "; gives"),
        ("Give\n    up.", "Give"),
    ],
)
def test_how_the_docstring_of_a_function_begins(tmp_path, docstring, found):
    """With a verb of the field; the place is that of the word."""
    text = f'class A:\n    """Be good."""\n\n    def f(self):\n        """{docstring}"""\n'
    column = 12 + docstring.find(found or "")
    assert lint(tmp_path, "a.py", text) == ([f"5:{column}: {found}"] if found else [])


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("x is no key", "is no key"),  # prose: ok
        ("there is no key, and is there no other?", None),
        ("there can be no key", None),
        ("x is no longer a key", None),
        ("x is no `key`", "is no `key`"),  # prose: ok
        ("Who meets a limit is told.", "Who"),
        ("Who is there?", None),
        ("The one who is there.", None),
        ("start anew", "anew"),
        ("all colors", "colors"),
        ("the option `--color`", None),
    ],
)
def test_sentences(tmp_path, sentence, found):
    """In Markdown; a few like ones are good English."""
    place = 1 + sentence.find(found or "")
    expected = [f"1:{place}: {found}"] if found else []
    assert lint(tmp_path, "a.md", sentence + "\n") == expected


def test_what_is_read_in_python(tmp_path):
    """Comments and strings of several words, also where a sentence is broken; no code, no names."""
    text = (
        "is_no = {'anew'}  # is no\n# key\n"  # prose: ok
        'raise ValueError(\n    f"{is_no}"\n    " is no"\n    " key"\n)\n'
        "# begin\n# anew\n"  # prose: ok
    )
    assert lint(tmp_path, "a.py", text) == ['5:7: is no" " key', "9:3: anew"]  # prose: ok


def test_what_is_read_in_markdown_and_man_pages(tmp_path):
    """Neither code nor literal displays nor targets of links; sentences go on behind macros."""
    text = "```\nanew\n```\n\n    anew\n\n<!-- anew --> [x](anew) is\nno key\n"  # prose: ok
    assert lint(tmp_path, "a.md", text) == ["7:25: is no key"]
    text = '.\\" anew\n.Bd -literal\nanew\n.Ed\nThat is no\n.Li key .\n.Fl -color\n'  # prose: ok
    assert lint(tmp_path, "a.1", text) == ["5:6: is no .Li key ."]


def test_a_deliberate_use(tmp_path):
    """A comment beside it, before it, or at the end of the literal."""
    assert lint(tmp_path, "a.py", 'def f():\n    """Give\n    up."""  # prose: ok\n') == []
    assert lint(tmp_path, "a.md", "<!-- prose: ok -->\nanew\n") == []
