"""Variables `PYRO_…` that Pyro5 doesn't take, as of a Pyro4 program, are left out with a line."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.real.managed import Managed

if TYPE_CHECKING:
    from tests.harness import Deployment

PYRO4 = {"PYRO_SERIALIZERS_ACCEPTED": "pickle", "PYRO_SERIALIZER": "pickle"}
VARIABLES = [
    PYRO4,
    {"PYRO_HMAC_KEY": "secret"},
    {"PYRO_NS_BCPORT": "many", "PYRO_SSL": "perhaps"},
    {"PYRO_SERVERTYPE": "twisted", "PYRO_PREFER_IP_VERSION": "5"},
    {"PYRO_LOGLEVEL": "loud"},
]
NO_LOG = {"PYRO_LOGLEVEL": "DEBUG", "PYRO_LOGFILE": "/no/such/directory/log"}
NAMES = [*("pyro_names", "--host", "127.0.0.1", "--port", "0")]
EVENTS = [*("pyro_events", "--host", "127.0.0.1", "--port", "0", "-N")]
HOST = [*("pyro_host", "mine:Thing", "--path")]
OBJECT = """
import os
from Pyro5.api import config, expose
@expose
class Thing:
    def seen(self):
        return os.environ.get("PYRO_SERIALIZER"), config.SERIALIZER, config.MAX_RETRIES
"""


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "mine.py").write_text(OBJECT)
    return tmp_path


@pytest.mark.parametrize("variables", VARIABLES, ids=lambda each: next(iter(each)))
@pytest.mark.parametrize("program", [NAMES, EVENTS, HOST], ids=lambda each: each[0])
def test_services_serve_and_name_the_variables(directory, program, variables):
    """One line has all names and no value, since a value may be a secret."""
    path = [str(directory)] if program is HOST else []
    managed = Managed([sys.executable, "-m", *program, *path], directory, variables)
    try:
        managed.ready()
        with managed.proxy() as proxy:
            proxy._pyroBind()
        managed.process.terminate()
        _, errors = managed.process.communicate(timeout=20)
    finally:
        managed.close()
    names = ", ".join(sorted(variables))
    lines = [line for line in errors.splitlines() if "PYRO_" in line]
    assert (managed.process.returncode, len(lines)) == (0, 1), errors
    assert lines[0].endswith(f"ignored, since Pyro5 doesn't take it: {names}")


def test_settings_that_pyro5_takes_hold_and_all_stay_in_the_environment(directory):
    """Programs that the object starts may be Pyro4's."""
    variables = {**PYRO4, "PYRO_MAX_RETRIES": "3"}
    managed = Managed([sys.executable, "-m", *HOST, str(directory)], directory, variables)
    try:
        managed.ready()
        with managed.proxy() as proxy:
            assert proxy.seen() == ("pickle", "serpent", 3)
    finally:
        managed.close()


def run(*argv, **variables):
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=20, check=False,
        env={**os.environ, **variables},
    )  # fmt: skip


@pytest.mark.parametrize("variables", [*VARIABLES, NO_LOG], ids=lambda each: next(iter(each)))
def test_a_program_can_import_the_helpers(variables):
    """One line on stderr, although the program hasn't configured logging."""
    ended = run(sys.executable, "-c", "import pyro_events", **variables)
    names = ", ".join(sorted(variables))
    assert ended.stderr == f"ignored, since Pyro5 doesn't take it: {names}\n"


def test_a_deployment_runs_in_such_an_environment(deployment: Deployment):
    """Services, a probe by name and the commands of the event service work."""
    deployment.env |= PYRO4
    unset = [f'"-u", "{name}"' for name in PYRO4]
    (deployment.root / "mine.py").write_text(
        OBJECT + "from Pyro5.api import Daemon, locate_ns\n"
        "daemon = Daemon(); uri = daemon.register(Thing)\n"
        "locate_ns().register('mine', uri); daemon.requestLoop()\n"
    )
    deployment.configure(f"""
        services.ns = {{ kind = "nameserver", port = 0 }}
        services.es = {{ kind = "eventservice", needs = ["ns"] }}
        [services.program]
        kind = "command"
        needs = ["ns"]
        command = ["env", {", ".join(unset)}, "{sys.executable}", "mine.py"]
        ready = {{ pyro_name = "mine" }}
    """)
    deployment.run("start")
    deployment.run("es", "publish", "a", "text")
    assert "ignored, since Pyro5 doesn't take it" in deployment.run("logs", "ns").stdout
