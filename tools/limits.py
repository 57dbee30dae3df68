"""Report Python files and functions that are too long, and tests that wait for a fixed time.

    python tools/limits.py [PATH…]

prints a line `file:line: what, limit` for each finding and exits 1 if there are any. A docstring
does not count as a part of its function. A test may sleep in a `while` loop, which polls a
condition; any other sleep for a constant time needs a comment `# sleep: WHY` on its line.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE = 400
MAX_FUNCTION = 60
ESCAPE = "# sleep: "
PATHS = ("pyroctl", "services", "tests", "benchmarks", "tools")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def findings(path: Path) -> Iterator[tuple[int, str]]:
    """Return line and message of each finding in a file."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    if len(lines) > MAX_FILE:
        yield 1, f"the file has {len(lines)} lines, limit {MAX_FILE}"
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, Function) and (length := _length(node)) > MAX_FUNCTION:
            yield node.lineno, f"{node.name} has {length} lines, limit {MAX_FUNCTION}"
    if "tests" in path.parts:
        for sleep in _fixed_sleeps(tree):
            if ESCAPE not in lines[sleep.lineno - 1]:
                yield sleep.lineno, f"{ast.unparse(sleep)} waits for a time and not for a condition"


def _length(node: Function) -> int:
    """Return how many lines a function has, without its docstring and its decorators."""
    length = _lines(node)
    if ast.get_docstring(node) is not None:
        length -= _lines(node.body[0])
    return length


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _fixed_sleeps(node: ast.AST) -> Iterator[ast.Call]:
    """Return the sleeps for a constant time outside `while` loops; a name in capitals is one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.While):
            continue
        if isinstance(child, ast.Call) and ast.unparse(child.func) in {
            "time.sleep",
            "asyncio.sleep",
        }:
            time = ast.unparse(child.args[0])
            names = re.findall(r"\b[A-Za-z_][\w.]*", time)
            if time != "0" and all(name.rpartition(".")[2].isupper() for name in names):
                yield child
        yield from _fixed_sleeps(child)


def main(arguments: list[str]) -> int:
    """Print the findings; returns the exit code."""
    count = 0
    for path in map(Path, arguments or PATHS):
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for line, message in findings(file):
                print(f"{file}:{line}: {message}")
                count += 1
    return min(count, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
