"""`python -m pyroctl.web` serves the page; the manager starts it for a service of kind `web`."""

from __future__ import annotations

import sys

PERMANENT_FAILURE = 125
"""The exit code that says that starting the service again is pointless."""


def main() -> int:
    """Serve until told to stop; return the exit code."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        print(  # noqa: T201 - the service's log
            f'kind = "web" needs the extra web ({error.name} is missing): '
            "pip install 'pyroctl[web]'",
            file=sys.stderr,
        )
        return PERMANENT_FAILURE
    from pyroctl.web.run import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
