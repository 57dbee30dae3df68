"""Everything outside the program that decides what a configuration means."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pyroctl.config.source import listing
from pyroctl.config.source.overrides import PREFIXES
from pyroctl.config.source.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator


class AskedVariables(Mapping[str, str]):
    """The environment; it records in `asked` what it was asked for, and all settings in it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.asked: dict[str, str | None] = {
            name: environ[name] for name in environ if name.startswith(PREFIXES)
        }

    def __getitem__(self, name: str) -> str:
        self.asked[name] = self._environ.get(name)
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


@dataclass
class Inputs:
    """What was asked while a configuration was loaded, with the answers."""

    file: str | None = None
    """The configuration file, absolute."""
    directory: str = ""
    """Where relative paths start."""
    links: dict[str, str] = field(default_factory=dict)
    """Each TOML file, and where it really is: a file is read once."""
    contents: dict[str, str] = field(default_factory=dict)
    """The texts of all files, env files too."""
    patterns: dict[str, list[str]] = field(default_factory=dict)
    """The files that includes match."""
    dropins: list[str] = field(default_factory=list)
    variables: dict[str, str | None] = field(default_factory=dict)
    """None: it isn't set."""

    def questions(self) -> dict[str, list[str]]:
        """Return what was asked, without the answers."""
        return {
            "links": list(self.links),
            "contents": list(self.contents),
            "patterns": list(self.patterns),
            "variables": list(self.variables),
        }

    def canonical(self) -> bytes:
        """Return the same bytes for the same answers to the same questions."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def ask(
    questions: Mapping[str, Any], file: str | None, directory: str, environ: Mapping[str, str]
) -> Inputs:
    """Ask again; raise UnreadableError or OSError if one has no answer any more."""
    known = AskedVariables(environ).asked
    return Inputs(
        file=file,
        directory=directory,
        links={link: os.path.realpath(link) for link in questions["links"]},
        contents={name: read_text(name) for name in questions["contents"]},
        patterns={pattern: listing.matches(pattern) for pattern in questions["patterns"]},
        dropins=listing.dropins(listing.dropin_directory(file)) if file is not None else [],
        variables={**{name: environ.get(name) for name in questions["variables"]}, **known},
    )
