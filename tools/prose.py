"""Report wording that the project's manual of style (prose.toml) advises against.

    python tools/prose.py [PATH…]

reads Markdown (without code), mdoc pages (without literal displays), the comments of TOML and YAML
files, and the docstrings, comments and string literals of Python files. It prints a line
`file:line:column: text: advice` for each finding and exits 1 if there are any. Without a PATH it
reads the `paths` of prose.toml. A finding is accepted as deliberate if its line, the line before it
or the last line of its literal contains `prose: ok`.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import regex  # for lookbehinds of any width

if TYPE_CHECKING:
    from collections.abc import Iterator

ESCAPE = "prose: ok"
PYTHON, MARKDOWN, MDOC, HASH_COMMENTS = (".py",), (".md",), (".1", ".5", ".7"), (".toml", ".yml")
MIN_WORDS = 3
"""String literals with fewer words are names and keys."""


class Block(NamedTuple):
    """A piece of text at an offset in its file; what is not prose in it is blank."""

    kind: str
    text: str
    offset: int


class Rule(NamedTuple):
    """A pattern, what to write in its place, and the kinds of blocks it is for (none: all)."""

    pattern: regex.Pattern[str]
    advice: str
    kinds: frozenset[str]


def load(path: Path) -> tuple[list[str], list[Rule]]:
    """Return the paths to read by default, and the rules."""
    style: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    rules = [_rule(**entry) for entry in style["rule"]]
    rules += [_rule(find=rf"(?i)\b{word}\b", use=use) for word, use in style["spelling"].items()]
    return style["paths"], rules


def _rule(find: str, use: str, kinds: list[str] | None = None) -> Rule:
    return Rule(regex.compile(find.replace(" ", r"\s+")), use, frozenset(kinds or ()))


def blank(pattern: str, text: str, fill: str = " ") -> str:
    """Replace what matches by as many blanks, so that offsets stay."""

    def same_length(match: regex.Match[str]) -> str:
        return str(regex.sub(r"[^\n]", fill, match[0]))

    return str(regex.sub(pattern, same_length, text, flags=regex.MULTILINE))


def markdown(source: str) -> Iterator[Block]:
    """Return the text without fenced and indented code, HTML comments and the targets of links."""
    text = blank(r"^ *(`{3,}|~{3,})(?s:.*?)^ *\1", source)
    text = blank(r"(?<=\n\n)(?: {4,}\S.*\n|\n(?= {4}))+", text)
    text = blank(r"<!--(?s:.*?)-->|(?<=\])\([^)\s]*\)", text)
    yield Block("markdown", text, 0)


def mdoc(source: str) -> Iterator[Block]:
    """Return the text without literal displays, comments, names of macros and what is literal."""
    text = blank(r"^\.Bd -(?:literal|unfilled)(?s:.*?)^\.Ed", source)
    text = blank(r"^\.(?:Ar|Cm|D1|Dl|Ev|Fa|Fl|Fn|Ic|It|Li|Op|Pa|Ql)\b.*", text, "x")
    text = blank(r'^\.\\".*|^\.(?:Dd|Dt|Xr)\b.*|^\.[A-Z][a-z]\b', text)
    yield Block("mdoc", text, 0)


def hash_comments(source: str) -> Iterator[Block]:
    """Return the comments that have lines of their own."""
    for match in regex.finditer(r"(?:^[ \t]*#.*\n?)+", source, flags=regex.MULTILINE):
        yield Block("comment", blank(r"^[ \t]*#", match[0]), match.start())


def python(source: str) -> Iterator[Block]:
    """Return comments, docstrings (of a `function` or another `docstring`) and other literals."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    yield from hash_comments(source)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
            yield Block(
                "comment", blank("^#", token.string), starts[token.start[0] - 1] + token.start[1]
            )

    def position(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    for node, kind in _literals(ast.parse(source)):
        begin = position(node.lineno, node.col_offset)
        end = position(node.end_lineno or 0, node.end_col_offset or 0)
        text = source[begin:end]
        if kind == "message":
            text = blank(r'"|\\n', text)
            if len(text.split()) < MIN_WORDS:
                continue
        quotes = len(text) - len(text.lstrip("rR\"'"))
        yield Block(kind, text[quotes:], begin + quotes)


def _literals(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    docstrings: dict[int, str] = {}
    pieces = set[int]()
    for node in ast.walk(tree):  # it comes to a node before its children
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings.setdefault(id(node.value), "docstring")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstrings[id(getattr(node.body[0], "value", None))] = "function"
        if isinstance(node, ast.JoinedStr):
            pieces.update(id(piece) for piece in ast.walk(node) if piece is not node)
        if id(node) not in pieces and (
            isinstance(node, ast.JoinedStr)
            or (isinstance(node, ast.Constant) and isinstance(node.value, str))
        ):
            yield node, docstrings.get(id(node), "message")


READERS = {
    **dict.fromkeys(PYTHON, python),
    **dict.fromkeys(MARKDOWN, markdown),
    **dict.fromkeys(MDOC, mdoc),
    **dict.fromkeys(HASH_COMMENTS, hash_comments),
}


def findings(path: Path, rules: list[Rule]) -> Iterator[tuple[int, int, str]]:
    """Return line, column and message of each finding in a file, in order."""
    source = path.read_text(encoding="utf-8")
    lines = source.split("\n")
    found = set[tuple[int, int, str]]()
    for block in READERS[path.suffix](source):
        text = blank(r"(?<=`)[^`\n]+(?=`)", block.text, "x") if block.kind != "mdoc" else block.text
        last = source.count("\n", 0, block.offset + len(block.text))
        for rule in rules:
            if rule.kinds and block.kind not in rule.kinds:
                continue
            for match in rule.pattern.finditer(text):
                offset = block.offset + match.start()
                line = source.count("\n", 0, offset)
                if any(ESCAPE in lines[near] for near in (line, line - 1, last)):
                    continue
                words = " ".join(source[offset : block.offset + match.end()].split())
                column = offset - source.rfind("\n", 0, offset)
                found.add((line + 1, column, f"{words}: {rule.advice}"))
    yield from sorted(found)


def files(paths: list[str]) -> Iterator[Path]:
    """Return the files that can be read, of directories all; exits if a path does not exist."""
    for path in map(Path, paths):
        if not path.exists():
            sys.exit(f"{path} does not exist")
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.suffix in READERS and each.is_file():
                yield each


def main(arguments: list[str]) -> int:
    """Print the findings; returns the exit code."""
    paths, rules = load(Path(__file__).with_suffix(".toml"))
    count = 0
    for path in files(arguments or paths):
        for line, column, message in findings(path, rules):
            print(f"{path}:{line}:{column}: {message}")
            count += 1
    return min(count, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
