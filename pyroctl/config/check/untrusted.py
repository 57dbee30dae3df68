"""The directories with modules of objects: root imports nothing that another user may write."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from pyroctl.config.source.diagnostics import Problem
from pyroctl.config.source.ownership import distrust
from pyroctl.core.spec import ObjectOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.core.spec import ServiceSpec


def untrusted_paths(specs: Mapping[str, ServiceSpec], directory: str) -> Iterator[Problem]:
    """Return what is wrong with the directories in which objects' modules are searched.

    An object with a `user` may have that user's; `directory` is the configuration file's.
    """
    for name, spec in specs.items():
        if not isinstance(spec.options, ObjectOptions):
            continue
        for key, paths in (("path", spec.options.path), ("object", (directory,))):
            for path in paths:
                try:
                    refusal = distrust(path, os.stat(path), _user(spec.user))
                except OSError:
                    continue  # missing: the service reports that
                if refusal is not None:
                    where = ("services", name, key)
                    yield Problem(where, f"{path} {refusal.reason}", refusal.hint)


def _user(name: str | None) -> tuple[int, ...]:
    if name is None:
        return ()
    try:
        return (int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid,)
    except KeyError:
        return ()
