"""The process's limit of open files."""

from __future__ import annotations

import resource


def raise_open_files(needed: int) -> int:
    """Raise the soft limit to `needed` as far as the hard one allows; return what is granted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    granted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < granted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return granted
