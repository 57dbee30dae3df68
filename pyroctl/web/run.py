"""Serves the page from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING

from pyroctl.errors import describe
from pyroctl.web.application import application
from pyroctl.web.assets import read_assets
from pyroctl.web.child import Child, set_up_logging
from pyroctl.web.server import PageServer
from pyroctl.web.settings import read_settings
from pyroctl.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.web.settings import Settings

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> int:
    """Serve until told to stop; return the exit code."""
    set_up_logging()
    settings = read_settings(arguments, os.environ)
    try:
        return asyncio.run(_serve(settings))
    except OSError as error:
        log.error("%s", describe(error))  # noqa: TRY400 - the text is enough
        return 1


async def _serve(settings: Settings) -> int:
    child = Child()
    site = Site(settings)
    server = PageServer(application(site, read_assets()), settings.options.tls, site.malformed)
    await server.start(child.socket)
    site.start(child.fail)
    url = address(child.socket, settings)
    child.ready(url)
    log.info("the page is at %s", url)
    try:
        await child.ended.wait()
    finally:
        await site.close()
        await server.stop()
        child.close()
    return 1 if child.failed else 0


def address(sock: socket.socket, settings: Settings) -> str:
    """Return where browsers find the page."""
    options = settings.options
    if options.public_url is not None:
        return options.public_url
    if sock.family == socket.AF_UNIX:
        return f"unix:{options.socket}"
    scheme = "https" if options.tls is not None else "http"
    port = sock.getsockname()[1]
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"{scheme}://{host}:{port}/"
