"""Loads the configuration in a process of its own.

The modules that check it would stay in the manager's memory, where they would take as much as all
the rest of it, and the manager could do nothing else while they work. `python -m
pyroctl.config.subprocess_loader CWD [FILE]` is that process: it pickles the deployment, or the
ConfigError, to standard output.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

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

    The arguments are those of `pyroctl.config.load.load`. Any thread may use it.
    """

    def __init__(self, path: str | None, environ: Mapping[str, str], cwd: str) -> None:
        self._builtin: Deployment | None = None
        self._process: subprocess.Popen[bytes] | None = None
        if path is None and not has_overrides(environ):
            self._builtin = builtin(cwd)
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
            assert self._builtin is not None
            return self._builtin
        data, _ = self._process.communicate()
        if self._process.returncode:
            raise PyroctlError(
                "the configuration was not loaded: the process that loads it exited"
                f" with {self._process.returncode}"
            )
        loaded: Deployment | ConfigError = pickle.loads(data)  # noqa: S301 - from our own child
        if isinstance(loaded, ConfigError):
            raise loaded
        return loaded


def load_apart(path: str | None, environ: Mapping[str, str], cwd: str) -> Deployment:
    """Load a deployment and wait for it; raises ConfigError. Any thread may call it."""
    return Loading(path, environ, cwd).deployment()


def main() -> None:
    """Load the deployment that the arguments name, and write it to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C also reaches the process that waits
    environ = dict(os.environ)
    os.environ[PLUGINS] = "__all__"
    from pyroctl.config.load import load

    cwd, *files = sys.argv[1:]
    try:
        answer: object = load(files[0] if files else None, environ, cwd).deployment
    except ConfigError as error:
        answer = error
    pickle.dump(answer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
