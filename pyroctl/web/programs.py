"""Runs programs for the page: each for a bounded time, with its answer as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.web.settings import Settings

TIMEOUT = 20.0


async def run_json(arguments: Sequence[str], request: Any = None, cwd: str | None = None) -> Any:
    """Return what a module of ours writes to standard output; raises PyroctlError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=cwd or None,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            out, _ = await process.communicate(json.dumps(request).encode())
        return json.loads(out)
    except TimeoutError:
        raise PyroctlError(f"{arguments[0]} took longer than {TIMEOUT:.0f} s") from None
    except ValueError:
        raise PyroctlError(f"{arguments[0]} exited with {process.returncode}") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def run_command(settings: Settings, *words: str) -> Any:
    """Return the envelope of a command of this deployment."""
    place = [] if settings.root is None else ["--root", settings.root]
    place += [] if settings.config is None else ["--config", settings.config]
    return await run_json(["pyroctl", *place, "--json", *words], cwd=settings.directory)
