"""All files of one configuration: the file itself, its includes, and its drop-ins.

The order in which they override each other: included files come before the file that includes
them, and the drop-ins `NAME.d/*.toml` beside `NAME.toml` come last, in the order of their names.
A file is read once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyroctl.config.source import listing
from pyroctl.config.source.builtin import builtin
from pyroctl.config.source.diagnostics import Problem, show
from pyroctl.config.source.inputs import Inputs
from pyroctl.config.source.interpolation import expand
from pyroctl.config.source.layers import INCLUDE, Layers
from pyroctl.config.source.read import Document, parse_document, read_document
from pyroctl.errors import ConfigError, Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass
class Sources:
    """The files, as far as they can be read."""

    main: Document
    """The main file; empty if it can't be read."""
    documents: list[Document] = field(default_factory=list)
    """Those that are valid TOML; later ones override earlier ones."""
    files: list[str] = field(default_factory=list)
    """All of them, in the order of reading."""
    diagnostics: list[Diagnostic] = field(default_factory=list)
    """For files that can't be read, and includes that match nothing."""
    inputs: Inputs = field(default_factory=Inputs)
    """What was found while they were read."""

    @property
    def directory(self) -> str:
        """Where relative paths start, in all of the files."""
        return os.path.dirname(self.main.file)

    def layers(self) -> Layers:
        """Merge the documents."""
        return Layers(self.documents, self.main)


def read_sources(
    file: str, environ: Mapping[str, str], instead: Mapping[str, str | None] | None = None
) -> Sources:
    """Read a configuration file and all that belongs to it; never raises for their contents.

    `environ` has the values of `${VAR}` in `include`; `instead` has texts to use in place of
    files, None for a file to treat as missing.
    """
    return _SourceReader(file, environ, instead or {}).read()


def builtin_sources() -> Sources:
    """Return the built-in deployment as if it came from a file."""
    services = {
        name: {"kind": spec.kind, "needs": list(spec.needs)}
        for name, spec in builtin("").services.items()
    }
    document = Document("", "", {"services": services})
    return Sources(document, [document])


def written_tables(file: str | None, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the unchecked data of a configuration's files, as far as they can be read."""
    sources = builtin_sources() if file is None else read_sources(file, environ)
    return sources.layers().data


class _SourceReader:
    """Reads one file after the other; `_open` are those whose includes are being read."""

    def __init__(
        self, file: str, environ: Mapping[str, str], instead: Mapping[str, str | None]
    ) -> None:
        self._file = file
        self._environ = environ
        self._instead = instead
        self._open: list[str] = []
        self._found = Sources(Document(file, "", {}))

    def read(self) -> Sources:
        self._add(self._file)
        for file in self._dropins():
            self._add(file)
        return self._found

    def _add(self, file: str) -> None:
        """Read a file and what it includes, unless that has been done."""
        links = self._found.inputs.links
        known = {links[other] for other in self._found.files}
        links[file] = os.path.realpath(file)
        if links[file] in known:
            return
        self._found.files.append(file)
        try:
            document = self._parse(file)
        except ConfigError as error:
            self._found.diagnostics += error.diagnostics
            return
        if file == self._file:
            self._found.main = document
        self._found.inputs.contents[file] = document.text
        self._open.append(links[file])
        for included in self._includes(document):
            self._add(included)
        self._open.pop()
        self._found.documents.append(document)

    def _parse(self, file: str) -> Document:
        text = self._instead.get(file)
        return read_document(file) if text is None else parse_document(file, text)

    def _includes(self, document: Document) -> Iterator[str]:
        """Return the files that a document includes; problems with them become diagnostics."""
        written, problems = expand({INCLUDE: document.data.get(INCLUDE, [])}, self._environ)
        patterns = written[INCLUDE]
        if isinstance(patterns, str):
            patterns = [patterns]
        if not isinstance(patterns, list):
            problems.append(_no_patterns(patterns))
            patterns = []
        wrong = {problem.path for problem in problems}
        for index, pattern in enumerate(patterns):
            path = (INCLUDE, index)
            if path in wrong or (INCLUDE,) in wrong:
                continue
            if not isinstance(pattern, str) or not pattern:
                problems.append(_no_patterns(pattern, index))
                continue
            for file in self._matches(document.file, pattern):
                problem = self._problem(file)
                if problem:
                    problems.append(Problem(path, problem))
                else:
                    yield file
        self._found.diagnostics += [document.locate(problem) for problem in problems]

    def _matches(self, including: str, pattern: str) -> list[str]:
        directory = os.path.dirname(including)
        if not listing.is_pattern(pattern):
            return [os.path.normpath(os.path.join(directory, pattern))]
        whole = listing.below(directory, pattern)
        found = self._found.inputs.patterns[whole] = listing.matches(whole)
        return found

    def _problem(self, file: str) -> str | None:
        """Return why a file can't be included, or None."""
        if not os.path.lexists(file) and self._instead.get(file) is None:
            return f"{file}: no such file"
        real = os.path.realpath(file)
        if real not in self._open:
            return None
        cycle = [*self._open[self._open.index(real) :], real]
        return f"files include each other in a cycle: {' → '.join(cycle)}"

    def _dropins(self) -> list[str]:
        directory = listing.dropin_directory(self._file)
        try:
            names = listing.dropins(directory)
        except OSError as error:
            self._found.diagnostics.append(
                Diagnostic(f"can't be read: {error.strerror}", file=directory)
            )
            return []
        self._found.inputs.dropins = names
        instead = {
            os.path.basename(file): text
            for file, text in self._instead.items()
            if os.path.dirname(file) == directory and listing.is_dropin(os.path.basename(file))
        }
        here = {*names, *instead} - {name for name, text in instead.items() if text is None}
        return [os.path.join(directory, name) for name in sorted(here)]


def _no_patterns(value: Any, index: int | None = None) -> Problem:
    path = (INCLUDE,) if index is None else (INCLUDE, index)
    if value == "":
        return Problem(path, "must not be empty")
    wanted = "a list of strings" if index is None else "a string"
    return Problem(path, f"expected {wanted}, got {show(value)}")
