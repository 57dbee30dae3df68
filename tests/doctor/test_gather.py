"""How the doctor finds out facts: from real processes, sockets and files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pyroctl.core.spec import CommandOptions, Deployment, ObjectOptions, ServiceSpec
from pyroctl.doctor.gather import host, name_server, place, processes, storage
from pyroctl.manager.process import listeners
from tests.harness import eventually


@pytest.mark.parametrize(
    ("words", "environ", "buffered"),
    [
        ([], {}, True),
        (["-u"], {}, False),
        (["-Eu"], {}, False),
        ([], {"PYTHONUNBUFFERED": "1"}, False),
    ],
)
def test_a_program_that_buffers_is_known(
    words: list[str], environ: dict[str, str], buffered: bool
) -> None:
    """By its options and its environment, for output into a pipe; others are unknown."""
    code = "import sys; sys.stdin.read()"
    command = [sys.executable, *words, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **environ}
    ) as process:
        eventually(lambda: processes.command_line(process.pid)[-1:] == [code])
        found = processes.is_buffered(process.pid, processes.variables(process.pid))
        assert processes.versions(process.pid)["Pyro5"] == processes.own_versions()["Pyro5"]
        limit = processes.open_files_limit(process.pid)
        process.communicate()
    assert found is buffered
    assert limit is None or limit > 0
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
        assert processes.is_buffered(cat.pid, {}) is None
        cat.communicate()


def test_packages_of_another_python_are_listed(tmp_path: Path) -> None:
    """Without starting it."""
    packages = tmp_path / "lib" / "python3.12" / "site-packages"
    for name in ("Pyro4-4.82.dist-info", "serpent-1.41.dist-info", "other-1.dist-info"):
        (packages / name).mkdir(parents=True)
    assert processes.installed(str(tmp_path)) == {"Pyro4": "4.82", "serpent": "1.41"}


def test_who_is_connected_with_whom() -> None:
    """By the sockets of the two ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as ours:
            accepted, _ = server.accept()
            with accepted:
                sockets = processes.Sockets({port: "es"}, tuple(listeners.tcp_connections()))
                mine = str(os.fstat(ours.fileno()).st_ino)
                theirs = str(os.fstat(accepted.fileno()).st_ino)
                assert sockets.of({mine}) == (frozenset({"es"}), 0)
                assert sockets.of({theirs}) == (frozenset(), 1)


def test_another_name_server_answers_a_broadcast() -> None:
    """Ours, by its port, doesn't count; here both answer on the loopback interface."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            question, client = server.recvfrom(100)
            assert question == name_server.QUESTION
            for port in (9090, 9999):
                server.sendto(f"PYRO:Pyro.NameServer@lab:{port}".encode(), client)

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        found = name_server.broadcasters(["localhost:9090"], port, "127.0.0.1", 0.5)
        thread.join()
    assert found == ("PYRO:Pyro.NameServer@lab:9999",)


def test_a_name_server_that_is_none() -> None:
    """Something else at the port, or nothing, counts as silence, and raises nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
    assert name_server.ask(where, ()) == name_server.Known(None, ())


def test_files_with_secrets(tmp_path: Path, tls_site) -> None:
    """Their modes, and of a certificate its end and its hosts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    found = next(Path(tls_site.directory).rglob("cert.pem"))
    certificate.write_bytes(found.read_bytes())
    key.write_text("secret")
    key.chmod(0o644)
    options = ObjectOptions(
        "m:C", host="lab", ssl_servercert=str(certificate), ssl_serverkey=str(key)
    )
    specs = {"cam": ServiceSpec("cam", options), "x": ServiceSpec("x", CommandOptions(("true",)))}
    deployment = Deployment("lab", specs, str(tmp_path))
    facts = list(storage.file_facts(deployment, str(tmp_path / "certs"), [("x", str(key))]))
    by_what = {each.what: each for each in facts}
    assert by_what["env_file"].mode == by_what["key"].mode == 0o644
    assert by_what["certificate"].expires is not None
    assert by_what["certificate"].wanted == "lab"


def test_the_host_is_described() -> None:
    """Whatever the machine, each fact has a value that makes sense."""
    found = host.host_facts({"clock_step": 2.5}, 30.0)
    assert "127.0.0.1" in found.localhost or "::1" in found.localhost
    assert 0 < found.port_range[0] < found.port_range[1] < 65536
    assert found.memory > 1 << 26
    assert (found.clock_step, found.grace) == (2.5, 30.0)
    assert host.resolved("no-such-host.invalid") == ()
    assert storage.file_system("/proc") == "proc"


def test_a_unit_is_read(tmp_path: Path) -> None:
    """Where it is, and what it says about type, watchdog and time to stop."""
    units = tmp_path / "systemd" / "user"
    units.mkdir(parents=True)
    unit = units / "pyroctl-lab.service"
    unit.write_text(
        "[Service]\nType=simple\nWatchdogSec=500ms\nTimeoutStopSec=2min\nExecStart=/x y\n"
    )
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert place.unit_file("lab", environ) == str(unit)
    assert place.unit_file("other", environ) is None
    settings = place.unit_settings(str(unit))
    assert place.seconds(settings["WatchdogSec"]) == 0.5
    assert place.seconds(settings["TimeoutStopSec"]) == 120
    assert place.seconds("a week") is None
    assert place._unit(str(unit)) | {"lingers": None} == {
        "unit": str(unit), "unit_enabled": False, "unit_current": False, "unit_notify": False,
        "lingers": None, "watchdog": 0.5,
    }  # fmt: skip
