"""Signs certificates in a process of its own.

cryptography would stay in the manager's memory, and the manager could do nothing else while it is
imported. `python -m pyroctl.certs.signing DIRECTORY` is that process: it reads what to sign from
standard input, as JSON, and writes the answer to standard output.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.errors import EXIT_FAILED, PyroctlError, Reported, system_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.certs.site import Site

TIMEOUT = 30.0
"""Seconds for one signature on a machine that is busy."""


class Signed(NamedTuple):
    """A new certificate, and that of the CA, both in PEM."""

    certificate: str
    ca: str


def sign_request(directory: str, request: str, name: str, hosts: Sequence[str]) -> Signed:
    """Sign the certificate request of a host that joins.

    Raises PyroctlError or OSError. Any thread may call it.
    """
    return _sign(directory, {"request": request, "name": name, "hosts": list(hosts)})


def renew(directory: str, name: str) -> Signed:
    """Renew a certificate of the site; errors and threads as above."""
    return _sign(directory, {"name": name})


def _sign(directory: str, order: dict[str, object]) -> Signed:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__, directory],
            input=json.dumps(order).encode(),
            stdout=subprocess.PIPE,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PyroctlError(f"the signature was not made within {TIMEOUT:g} s") from None
    if done.returncode:
        raise PyroctlError(f"the process that signs exited with {done.returncode}")
    answer = json.loads(done.stdout)
    if "errors" in answer:
        raise Reported(answer["errors"], EXIT_FAILED)
    return Signed(**answer)


def main() -> None:
    """Sign what standard input says, and print the result."""
    try:
        answer: dict[str, Any] = _order(sys.argv[1], json.loads(sys.stdin.buffer.read()))
    except PyroctlError as error:
        answer = {"errors": error.entries()}
    except OSError as error:
        answer = {"errors": system_error(error).entries()}
    sys.stdout.write(json.dumps(answer))


def _order(directory: str, order: dict[str, Any]) -> dict[str, Any]:
    from pyroctl.certs.lifetime import DAYS
    from pyroctl.certs.names import checked_host
    from pyroctl.certs.site import Site

    site, now, name = Site(directory), datetime.now(UTC), order["name"]
    if "request" in order:
        hosts = [checked_host(host) for host in order["hosts"]]
        issued = site.sign_request(order["request"].encode(), name, hosts, now, DAYS)
    else:
        issued = site.renew(name, now, None)
    return _signed(site, issued.pem)._asdict()


def _signed(site: Site, certificate: bytes) -> Signed:
    return Signed(certificate.decode(), site.ca_pem.decode())


if __name__ == "__main__":
    main()
