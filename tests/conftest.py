"""How the tests are run, and a fixture for those of real processes."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import orderly_end
from tests.harness import Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.tls_site import TlsSite

FOREIGN = (
    *("PYRO", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_", "NO_COLOR", "FORCE_COLOR", "CLICOLOR"),
    "PYTHONUNBUFFERED",  # unset for most users: what is printed to a pipe must be flushed
)
"""Prefixes of variables that configure Pyro5, a service or the command; tests must not see them."""

for _name in [name for name in os.environ if name.startswith(FOREIGN)]:
    del os.environ[_name]
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background: it is inherited
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    orderly_end.install(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run long tests first, so that no worker is left alone with one at the end.

    Workers get equal shares of the list at first, one after the other: each share begins with some
    of those tests. (They are the ones that may take longer than others.)
    """
    long = [item for item in items if item.get_closest_marker("timeout")]
    short = [item for item in items if not item.get_closest_marker("timeout")]
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    share = -(-len(short) // workers)
    items[:] = [
        item
        for number in range(workers)
        for item in (*long[number::workers], *short[number * share : (number + 1) * share])
    ]


@pytest.fixture
def open_deployment() -> Iterator[Deployment]:
    """A deployment in a directory that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)
        found = Deployment(root)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of the test's own; nothing of it may be left afterwards."""
    found = Deployment(tmp_path)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="session")
def tls_site(tmp_path_factory: pytest.TempPathFactory) -> TlsSite:
    """A site with certificates; a test that changes something takes a copy."""
    from tests.tls_site import TlsSite

    return TlsSite(tmp_path_factory.mktemp("site") / "certs")
