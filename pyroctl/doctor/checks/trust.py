"""Checks 17 and 35: certificates, keys, and the page."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pyroctl.doctor.finding import problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.doctor.facts import Facts
    from pyroctl.doctor.finding import Finding

SOON = timedelta(days=30)
OTHERS = 0o077
LOOPBACK = ("localhost", "127.0.0.1", "::1")
FIRST_BYTE = 1.0
"""Seconds; a proxy that buffers the stream makes the page look frozen."""


def certificates(facts: Facts) -> Iterator[Finding]:
    """Certificates that end, that are for another host, and keys that others can read."""
    for file in facts.files:
        if file.what == "certificate" and file.expires is not None:
            left = file.expires - facts.now
            date = file.expires.date().isoformat()
            if left < timedelta(0):
                text = f"the certificate {file.path} has expired on {date}"
                yield problem(text, file.path, "pyroctl certs renew", file.service)
            elif left < SOON:
                text = f"the certificate {file.path} expires in {left.days} days, on {date}"
                yield warning(text, file.path, "pyroctl certs renew", file.service)
        if file.hosts and file.wanted is not None and file.wanted not in file.hosts:
            text = f"the certificate {file.path} is not for {file.wanted}"
            remedy = f"make one that is: pyroctl certs server NAME {file.wanted}"
            yield problem(text, file.path, remedy, file.service)
        if file.what == "key" and file.mode is not None and file.mode & OTHERS:
            text = f"the key {file.path} can be read by others (mode {file.mode:o})"
            yield problem(text, file.path, f"chmod 600 {file.path}", file.service)


def page(facts: Facts) -> Iterator[Finding]:
    """Whether the page can be reached by those who should, and by nobody else."""
    found = facts.page
    if found is None:
        return
    name = found.service
    if not found.extra:
        text = f"{name} needs starlette and uvicorn, which are not installed"
        yield problem(text, name, "pip install 'pyroctl[web]'", name)
    if found.host not in LOOPBACK and not found.tls:
        text = f"{name} is open beyond this host, and without TLS"
        yield problem(text, name, "set tls, or a Unix socket behind a proxy", name)
    if found.token_mode is not None and found.token_mode & OTHERS:
        text = f"the token of {name} can be read by others (mode {found.token_mode:o})"
        yield problem(text, name, "chmod 600 it, and make a new one", name)
    if found.public_answers is False:
        text = f"{name} does not answer at {found.public_url}"
        yield warning(text, str(found.public_url), "check the proxy's path and Host header", name)
    if found.first_byte is not None and found.first_byte > FIRST_BYTE:
        text = f"the stream of {name} needs {found.first_byte:.1f} s through the proxy"
        yield warning(text, str(found.public_url), "switch off its buffering", name)
