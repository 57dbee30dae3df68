"""Kind `object`: a Pyro class of the user's, hosted by `python -m pyro_host`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.core.spec import NotifyReady
from pyroctl.kinds.address import TcpAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.core.spec import ObjectOptions

READINESS = NotifyReady()


def address(options: ObjectOptions) -> TcpAddress:
    """Give where it listens."""
    return TcpAddress(options.host, options.port)


def argv(
    name: str, options: ObjectOptions, python: str, directory: str, ns: str | None
) -> tuple[str, ...]:
    """Give the command line of the service `name`; `ns` is the deployment's own name server.

    `-P` keeps modules in the working directory from standing in for those of the host itself;
    `directory`, the configuration's, is searched as the last of `path`.
    """
    return (
        *(python, "-P", "-m", "pyro_host", options.object),
        *(word for entry in (*options.path, directory) for word in ("--path", entry)),
        f"--id={options.pyro_name or name}",
        *_settings(options, options.ns or ns),
    )


def _settings(options: ObjectOptions, ns: str | None) -> Iterator[str]:
    settings = {
        "host": options.host,
        "port": options.port,
        "nathost": options.nathost,
        "natport": options.natport,
        "name": options.pyro_name,
        "ns": ns if options.pyro_name else None,
        "servertype": options.servertype,
        "threadpool": options.threadpool,
        "serializer": options.serializer,
        "max-message-size": options.max_message_size,
        "commtimeout": options.commtimeout,
        "ssl-servercert": options.ssl_servercert,
        "ssl-serverkey": options.ssl_serverkey,
        "ssl-cacerts": options.ssl_cacerts,
        "ssl-clientcert": options.ssl_clientcert,
        "ssl-clientkey": options.ssl_clientkey,
    }
    for key, value in settings.items():
        if value is not None:
            yield f"--{key}={value}"
    for text in options.metadata:
        yield f"--metadata={text}"
    if options.ssl_requireclientcert:
        yield "--ssl-requireclientcert"
