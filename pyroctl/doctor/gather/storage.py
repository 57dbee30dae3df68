"""Facts about files and disks."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from pyroctl.certs.files import CERT
from pyroctl.certs.held import facts_of, held
from pyroctl.core.spec import NameServerOptions, ObjectOptions, TlsOptions
from pyroctl.doctor.facts import DiskFacts, FileFacts
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from pyroctl.core.spec import Deployment, ServiceSpec
    from pyroctl.doctor.facts import ServiceFacts
    from pyroctl.paths import Paths

NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "afs", "ceph"})


def file_facts(
    deployment: Deployment | None, certs: str, env_files: Iterable[tuple[str, str]]
) -> Iterator[FileFacts]:
    """Yield the files with secrets, certificates and names.

    `certs` is the directory of the site; `env_files` are services and the files of their variables.
    """
    for name, path in env_files:
        yield FileFacts(path=path, what="env_file", service=name, mode=mode_of(path))
    with contextlib.suppress(OSError, PyroctlError):
        for one in held(certs):
            yield from _pair(os.path.join(one.folder, CERT), None, None, None)
    for name, spec in deployment.services.items() if deployment is not None else ():
        yield from _of_service(name, spec)


def _of_service(name: str, spec: ServiceSpec) -> Iterator[FileFacts]:
    options = spec.options
    wanted = getattr(options, "host", None)
    wanted = wanted if isinstance(wanted, str) and not wanted[:1].isdigit() else None
    if isinstance(options, TlsOptions) and options.tls != "off" and options.tls_certificate:
        yield from _pair(options.tls_certificate, options.tls_key, name, wanted)
    if isinstance(options, ObjectOptions) and options.ssl_servercert:
        yield from _pair(options.ssl_servercert, options.ssl_serverkey, name, wanted)
    if isinstance(options, NameServerOptions) and options.storage.startswith("sql:"):
        path = options.storage.removeprefix("sql:")
        target = path if os.path.exists(path) else os.path.dirname(path) or "."
        writable = os.access(target, os.W_OK)
        yield FileFacts(path=path, what="names", service=name, writable=writable)


def _pair(
    certificate: str, key: str | None, service: str | None, wanted: str | None
) -> Iterator[FileFacts]:
    """Yield the facts about a certificate and its key."""
    key = key or os.path.join(os.path.dirname(certificate), "key.pem")
    expires: datetime | None = None
    hosts: tuple[str, ...] = ()
    with contextlib.suppress(OSError, PyroctlError):
        expires, hosts = facts_of(certificate).lifetime.end, _hosts(certificate)
    yield FileFacts(
        path=certificate,
        what="certificate",
        service=service,
        mode=mode_of(certificate),
        expires=expires,
        hosts=hosts,
        wanted=wanted,
    )
    yield FileFacts(path=key, what="key", service=service, mode=mode_of(key))


def _hosts(certificate: str) -> tuple[str, ...]:
    """Return the hosts for which a certificate is valid; empty if they can't be read."""
    import ssl

    # the standard library has no public reader of a certificate in a file
    decode: Any = ssl._ssl._test_decode_cert  # type: ignore[attr-defined] # noqa: SLF001
    try:
        found = decode(certificate)
    except (OSError, ValueError):
        return ()
    return tuple(str(value) for _, value in found.get("subjectAltName", ()))


def mode_of(path: str) -> int | None:
    """Return the permissions of a file; None without one."""
    with contextlib.suppress(OSError):
        return os.stat(path).st_mode & 0o777
    return None


def disk_facts(paths: Paths, services: Mapping[str, ServiceFacts]) -> Iterator[DiskFacts]:
    """Yield the file systems of logs and state."""
    needed = sum(_log_room(paths, facts.spec) for facts in services.values())
    rate = sum(_log_rate(facts.measured) for facts in services.values())
    for path, room, speed in ((paths.logs, needed, rate), (paths.state, 0, 0.0)):
        place = _existing(path)
        with contextlib.suppress(OSError):
            stat = os.statvfs(place)
            yield DiskFacts(
                path=place,
                free=stat.f_bavail * stat.f_frsize,
                inodes=stat.f_favail if stat.f_files else 1 << 20,
                needed=room,
                rate=speed,
                network=file_system(place) in NETWORK,
            )


def file_system(path: str) -> str:
    """Return the type of the file system of a path; "" if it isn't known."""
    found = ("", "")
    with contextlib.suppress(OSError), open("/proc/mounts", errors="replace") as file:
        for line in file:
            _, place, kind, *_ = line.split()
            if f"{path}/".startswith(f"{place.rstrip('/')}/") and len(place) >= len(found[0]):
                found = (place, kind)
    return found[1]


def _existing(path: str) -> str:
    while path != "/" and not os.path.exists(path):
        path = os.path.dirname(path)
    return path or "/"


def _log_room(paths: Paths, spec: ServiceSpec) -> int:
    """Return how many bytes the log of a service may still grow."""
    log, path = spec.log, paths.service_log(spec.name)
    used = 0
    with contextlib.suppress(OSError):
        directory, base = os.path.split(path)
        names = [each for each in os.listdir(directory) if each.startswith(base)]
        used = sum(os.stat(os.path.join(directory, each)).st_size for each in names)
    return max(0, log.max_bytes * (log.keep + 1) - used)


def _log_rate(measured: Mapping[str, Any]) -> float:
    streams = measured.get("log", {}).get("streams", {}).values()
    lived = measured.get("lived") or 0.0
    written = sum(each.get("bytes", 0) for each in streams)
    return written / lived if lived > 0 else 0.0


def last_lines(path: str, most: int = 50, size: int = 16384) -> tuple[str, ...]:
    """Return the last lines of a log, without their times."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        lines = file.read().decode(errors="replace").splitlines()[-most:]
        return tuple(line.partition(" ")[2] for line in lines)
    return ()
