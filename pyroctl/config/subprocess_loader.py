"""Loads the configuration in a process of its own.

The modules that check it would stay in the manager's memory, where they would take as much as all
the rest of it, and the manager could do nothing else while they work. `python -m
pyroctl.config.subprocess_loader CWD [FILE]` is that process: to standard output it pickles the
deployment and what to remember of it, or the ConfigError. If nothing has changed since the last
check, what is remembered takes its place.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from pyroctl.config.memory.memory import Memory
from pyroctl.config.source.builtin import builtin
from pyroctl.config.source.overrides import has_overrides
from pyroctl.errors import ConfigError, PyroctlError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.spec import Deployment

PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
"""Searching for plugins of pydantic takes longer than loading a configuration."""


class Loading:
    """A deployment that is being loaded. It starts at once; `deployment` waits for the result.

    The arguments are those of `pyroctl.config.load.load`, and the directory in which the result is
    remembered; None: it is checked in any case. Any thread may use it.
    """

    def __init__(
        self, path: str | None, environ: Mapping[str, str], cwd: str, state: str | None = None
    ) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._memory = None if state is None else Memory(state)
        self._new: bytes | None = None
        self._known: Deployment | None = None
        if path is None and not has_overrides(environ):
            self._known = builtin(cwd)
        elif self._memory is not None:
            file = None if path is None else os.path.normpath(os.path.join(cwd, path))
            self._known = self._memory.recall(file, environ, cwd)
        if self._known is not None:
            return
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, cwd, *([path] if path else [])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=dict(environ),
        )

    def deployment(self) -> Deployment:
        """Wait for the deployment; to be called once. Raises ConfigError with all diagnostics."""
        if self._process is None:
            assert self._known is not None
            return self._known
        data, _ = self._process.communicate()
        if self._process.returncode:
            raise PyroctlError(
                "the configuration was not loaded: the process that loads it exited"
                f" with {self._process.returncode}"
            )
        loaded: tuple[Deployment, bytes | None] | ConfigError = pickle.loads(data)  # noqa: S301 - from our own child
        if isinstance(loaded, ConfigError):
            raise loaded
        deployment, self._new = loaded
        return deployment

    def remember(self) -> None:
        """Remember the deployment if it was checked; to be called by the manager alone."""
        if self._memory is not None and self._new is not None:
            self._memory.remember(self._new)


def load_apart(
    path: str | None, environ: Mapping[str, str], cwd: str, state: str | None = None
) -> Deployment:
    """Load a deployment, wait for it and remember it; raises ConfigError.

    Any thread of the manager may call it.
    """
    loading = Loading(path, environ, cwd, state)
    deployment = loading.deployment()
    loading.remember()
    return deployment


def main() -> None:
    """Load the deployment that the arguments name, and write it to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C also reaches the process that waits
    environ = dict(os.environ)
    os.environ[PLUGINS] = "__all__"
    from pyroctl.config.load import load
    from pyroctl.config.memory.content import to_bytes

    cwd, *files = sys.argv[1:]
    try:
        loaded = load(files[0] if files else None, environ, cwd)
        memory = None if loaded.memory is None else to_bytes(*loaded.memory)
        answer: object = (loaded.deployment, memory)
    except ConfigError as error:
        answer = error
    pickle.dump(answer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
