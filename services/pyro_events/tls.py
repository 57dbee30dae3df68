"""The certificate of a helper, with which it connects over TLS."""

from __future__ import annotations

import os
from typing import NamedTuple

from pyro_wire.tls.files import TlsFiles, TlsIdentity, load_client, site_directory

__all__ = ["Tls"]


class Tls(NamedTuple):
    """Files in PEM: a certificate, its key, and the CA that has issued those of the services.

    The key must not be readable by others. The system's CAs are not trusted.
    """

    certificate: str
    key: str
    ca: str


def load(tls: Tls | str | bool | None) -> TlsIdentity | None:
    """Return what the argument `tls` of a helper means, None without TLS.

    Raises ValueError or OSError if the files can't be used, and TypeError for anything else.
    """
    if tls is None or tls is False:
        return None
    if isinstance(tls, Tls):
        return load_client(TlsFiles(*tls))
    if tls is True:
        return load_client(TlsFiles.in_directory(site_directory(os.environ)))
    if isinstance(tls, (str, os.PathLike)):
        return load_client(TlsFiles.in_directory(os.fspath(tls)))
    raise TypeError(f"tls must be a directory, a Tls, True or None, not {type(tls).__name__}")
