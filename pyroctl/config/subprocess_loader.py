"""Has the configuration loaded by a process of its own.

What checks it would stay in the manager's memory for ever, about as much as all the rest of it, and
while it is at work the manager could do nothing else.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

from pyroctl.config.source.overrides import has_overrides
from pyroctl.core.spec import Deployment, builtin_deployment
from pyroctl.errors import ConfigError, PyroctlError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Loading:
    """A deployment that is being loaded; begins at once, so that others can do something else.

    The arguments are those of `pyroctl.config.load.load`. Any thread may use it.
    """

    def __init__(self, path: str | None, environ: Mapping[str, str], cwd: str) -> None:
        self._builtin: Deployment | None = None
        self._process: subprocess.Popen[bytes] | None = None
        if path is None and not has_overrides(environ):
            self._builtin = builtin_deployment(cwd)
            return
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "pyroctl.config.subprocess_worker",
                cwd,
                *([path] if path else []),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=dict(environ),
        )

    def deployment(self) -> Deployment:
        """Wait for it; to be called once. Raises ConfigError with all faults."""
        if self._process is None:
            assert self._builtin is not None
            return self._builtin
        data, _ = self._process.communicate()
        if self._process.returncode:
            raise PyroctlError(
                "the configuration was not loaded: the process that does it ended"
                f" with {self._process.returncode}"
            )
        loaded: Deployment | ConfigError = pickle.loads(data)  # noqa: S301 - from our own child
        if isinstance(loaded, ConfigError):
            raise loaded
        return loaded


def load_apart(path: str | None, environ: Mapping[str, str], cwd: str) -> Deployment:
    """Load a deployment and wait for it; raises ConfigError. Any thread may call it."""
    return Loading(path, environ, cwd).deployment()
