"""`python -m pyroctl.config.subprocess_worker CWD [FILE]`: load a deployment.

The deployment, or the ConfigError, is pickled to stdout for `pyroctl.config.subprocess_loader`.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

from pyroctl.errors import ConfigError

PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
"""Looking for plugins of pydantic takes longer than our configuration does."""


def main() -> None:
    """Load, and answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who has started us is interrupted, too
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
