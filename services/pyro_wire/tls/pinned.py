"""TLS to another process of the same deployment that has the same certificate as this one."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from pyro_wire.messages import UnexpectedAnswer
from pyro_wire.tls.certificate import read_certificate
from pyro_wire.tls.errors import peer_chain
from pyro_wire.tls.files import TlsFiles, load_client

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

VARIABLE: Final = "PYROCTL_NS_TLS"
"""Set for services whose name server requires TLS, with _HOST and maybe _CERTIFICATE, _KEY, _CA."""


class FilesUnusable(Exception):
    """The files for TLS can't be used; the text is a sentence."""


class PinnedTls:
    """Speaks TLS only to the holder of the certificate in these files, and shows the same one.

    So it doesn't matter by which address the other process is reached.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Load the files; raises OSError or ValueError."""
        self._identity = load_client(files)
        self._identity.context.check_hostname = False

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """Return the connection with TLS. Raises OSError or UnexpectedAnswer."""
        context = self._identity.context
        tls = context.wrap_socket(sock, do_handshake_on_connect=False)
        try:
            tls.do_handshake()
        except ssl.SSLError as error:
            reason = self._identity.explain(error, peer_chain(tls))
            tls.close()
            raise UnexpectedAnswer(reason) from None
        except OSError:
            tls.close()
            raise
        der = tls.getpeercert(binary_form=True) or b""
        if read_certificate(der).fingerprint != self._identity.own.fingerprint:
            tls.close()
            raise UnexpectedAnswer("it has another certificate than the deployment's name server")
        return tls


def tls_of_name_server(environ: Mapping[str, str]) -> PinnedTls | None:
    """Return how to speak to the deployment's name server, as its manager has told; None: plain.

    Raises FilesUnusable.
    """
    if VARIABLE not in environ:
        return None
    certificate, key, ca = (environ.get(f"{VARIABLE}_{n}") for n in ("CERTIFICATE", "KEY", "CA"))
    host = environ.get(f"{VARIABLE}_HOST", "localhost")
    try:
        files = TlsFiles.chosen(certificate, key, ca, None, host=host, environ=environ)
        return PinnedTls(files)
    except (OSError, ValueError) as error:
        raise FilesUnusable(f"it requires TLS, and {error}") from None
