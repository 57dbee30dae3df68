"""Each check of the doctor: what it finds in facts with a fault, and nothing in healthy ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import Pyro5.configure
import pytest

from pyroctl.core.spec import (
    CommandOptions,
    EventServiceOptions,
    NameServerOptions,
    ObjectOptions,
    Options,
    ServiceSpec,
)
from pyroctl.doctor.checks.all import CHECKS, run
from pyroctl.doctor.facts import (
    DiskFacts,
    Facts,
    FileFacts,
    HostFacts,
    NameFacts,
    PageFacts,
    PlaceFacts,
    PortFacts,
    ServiceFacts,
)
from pyroctl.doctor.finding import Level
from pyroctl.doctor.pyro_variables import PYRO_VARIABLES
from pyroctl.doctor.report import nagios, plain, prometheus, summary, text, worst

NOW = datetime(2026, 11, 30, tzinfo=UTC)
VERSIONS = {"Pyro5": "5.15", "serpent": "1.41", "msgpack": "1.1"}
OPTIONS: dict[str, Options] = {
    "ns": NameServerOptions(),
    "es": EventServiceOptions(),
    "cam": ObjectOptions("cams:Camera", pyro_name="lab.cam"),
    "feed": CommandOptions(("python", "-m", "feed")),
}
NEEDS = {"es": ("ns",), "cam": ("ns",), "feed": ("ns", "es")}
URIS = {"ns": "PYRO:Pyro.NameServer@localhost:9090", "cam": "PYRO:lab.cam@localhost:4000"}


def service(name: str, options: Options | None = None, **spec: Any) -> ServiceFacts:
    row = {
        "name": name, "state": "running", "pid": 7, "uri": URIS.get(name), "detail": "",
        "exit": None, "history": [],
    }  # fmt: skip
    made = ServiceSpec(name, options or OPTIONS[name], **{"needs": NEEDS.get(name, ()), **spec})
    return ServiceFacts(spec=made, row=row, versions=VERSIONS, buffered=False, nofile=1 << 20)


def healthy() -> Facts:
    return Facts(
        now=NOW,
        versions=VERSIONS,
        services={name: service(name) for name in OPTIONS},
        name_server="localhost:9090",
        round_trip=0.002,
        names=(NameFacts(name="lab.cam", uri=URIS["cam"]),),
        disks=(DiskFacts(path="/logs", free=1 << 30, needed=1 << 20),),
        place=PlaceFacts(installed="1.0", running="1.0"),
        host=HostFacts(synchronized=True),
    )


def with_service(name: str, options: Options | None = None, **changes: Any) -> Facts:
    """Return facts in which one service differs; `row` and `spec` are merged."""
    facts = healthy()
    made = service(name, options, **changes.pop("spec", {}))
    row = {**made.row, **changes.pop("row", {})}
    return replace(facts, services={**facts.services, name: replace(made, row=row, **changes)})


def with_name(name: str, uri: str, state: str = "answers", **more: Any) -> Facts:
    return replace(healthy(), names=(NameFacts(name=name, uri=uri, state=state, **more),))


def with_port(port: int, **more: Any) -> Facts:
    return replace(healthy(), ports=(PortFacts(service="ns", host="localhost", port=port, **more),))


def with_file(what: str, **more: Any) -> Facts:
    return replace(healthy(), files=(FileFacts(path="/f.pem", what=what, service="es", **more),))


def with_host(**changes: Any) -> Facts:
    return replace(healthy(), host=replace(healthy().host, **changes))


def with_place(**changes: Any) -> Facts:
    return replace(healthy(), place=replace(healthy().place, **changes))


def ending(reason: str, then: str, uptime: float | None = 1.0, number: int | None = 1) -> Any:
    return {"reason": reason, "then": then, "uptime_s": uptime, "exit": {"signal": number}}


def subscriber(**changes: Any) -> dict[str, Any]:
    return {
        "subscriber": "plot", "kind": "stream", "state": "connected", "queued": 0,
        "queue_size": 10, "dropped": 0, "delivered": 0, "suspended": [], "subjects": ["lab.heat"],
        **changes,
    }  # fmt: skip


def subject(name: str, listeners: int = 0) -> dict[str, Any]:
    return {"subject": name, "listeners": listeners, "count": 5}


NETWORK_NS = NameServerOptions(host="lab1")
NAT = ObjectOptions("cams:Camera", pyro_name="lab.cam", nathost="out.example", natport=4000)
THREADS = ObjectOptions("cams:Camera", pyro_name="lab.cam", threadpool=10)
PLAIN = {"subscriber": "PYRO:o@h:1"}
FAULTS: list[tuple[int, str, Level, Facts]] = [
    (1, "the manager is 0.9, this command 1.0", Level.WARNING, with_place(running="0.9")),
    (1, "feed uses Pyro4", Level.PROBLEM, with_service("feed", versions={"Pyro4": "4.82"})),
    (1, "cam has serpent 2.0", Level.PROBLEM, with_service("cam", versions={"serpent": "2.0"})),
    (2, "with PYRO_NSHOST set", Level.PROBLEM, replace(healthy(), environ={"PYRO_NSHOST": "x"})),
    (2, "is not a number", Level.PROBLEM, with_service("feed", environ={"PYRO_NS_PORT": "http"})),
    (2, "is not yes or no", Level.PROBLEM, with_service("feed", environ={"PYRO_SSL": "maybe"})),
    (3, "PYRO_LOGLEVEL=debug", Level.PROBLEM,
        with_service("cam", environ={"PYRO_LOGLEVEL": "debug"})),
    (3, "pyro5.log", Level.WARNING, replace(healthy(), environ={"PYRO_LOGLEVEL": "DEBUG"})),
    (4, "only this host", Level.WARNING, replace(
        with_service("ns", NETWORK_NS), host=HostFacts(name="lab1", addresses=("127.0.1.1",)))),
    (4, "resolves to no address", Level.PROBLEM, replace(
        with_service("ns", NETWORK_NS), host=HostFacts(name="lab1", addresses=()))),
    (5, "no client can reach", Level.PROBLEM, with_name("x", "PYRO:x@0.0.0.0:1")),
    (5, "clients on other hosts", Level.WARNING, with_service("ns", NETWORK_NS)),
    (6, "where nobody answers", Level.WARNING, replace(
        with_service("cam", NAT),
        names=(NameFacts(name="lab.cam", uri="PYRO:lab.cam@out.example:4000", state="silent"),))),
    (7, "is taken by another program (pid 3: nginx)", Level.PROBLEM,
        with_port(9090, holder="another program (pid 3: nginx)")),
    (7, "left over from this deployment", Level.PROBLEM, with_port(9090, holder="x", orphan=True)),
    (8, "among those that the system gives away", Level.WARNING, with_port(40000)),
    (8, "needs a right", Level.PROBLEM, with_port(80)),
    (9, "another name server answers", Level.WARNING,
        replace(healthy(), broadcasters=("PYRO:Pyro.NameServer@other:9090",))),
    (10, "does not answer", Level.PROBLEM, replace(healthy(), round_trip=None)),
    (10, "takes 0.50 s", Level.WARNING, replace(healthy(), round_trip=0.5)),
    (10, "try ::1 first", Level.NOTE, replace(
        with_host(localhost=("::1", "127.0.0.1")), name_server="127.0.0.1:9090")),
    (11, "nobody listens there", Level.WARNING, with_name("old", "PYRO:o@localhost:1", "closed")),
    (11, "no such object", Level.WARNING, with_name("old", "PYRO:o@localhost:1", "unknown")),
    (12, "and it is at", Level.PROBLEM, with_name("lab.cam", "PYRO:lab.cam@localhost:9999")),
    (13, "belong to no service", Level.WARNING, with_name("x", "PYRO:x@localhost:1", outside=True)),
    (13, "can't write its names", Level.PROBLEM, with_file("names", writable=False)),
    (14, "at a Unix socket", Level.NOTE, replace(
        with_service("ns", NameServerOptions(autoclean=5.0)),
        names=(NameFacts(name="x", uri="PYRO:x@./u:/s"),))),
    (15, "has 9 clients", Level.WARNING, with_service("cam", THREADS, clients=9)),
    (16, "doesn't have", Level.PROBLEM, with_service(
        "feed", environ={"PYRO_SERIALIZER": "msgpack"}, versions={"Pyro5": "5.15"})),
    (16, "numpy arrays", Level.WARNING, with_service(
        "cam", log=("TypeError: unsupported type numpy.ndarray",))),
    (17, "has expired", Level.PROBLEM, with_file("certificate", expires=NOW - timedelta(days=1))),
    (17, "expires in 9 days", Level.WARNING,
        with_file("certificate", expires=NOW + timedelta(days=9, hours=1))),
    (17, "is not for lab1", Level.PROBLEM,
        with_file("certificate", hosts=("lab2",), wanted="lab1")),
    (17, "the key /f.pem can be read by others (mode 644)", Level.PROBLEM,
        with_file("key", mode=0o644)),
    (18, "unknown key", Level.PROBLEM, replace(
        healthy(), faults=({"message": "unknown key", "hint": None, "file": "a", "line": 3},))),
    (18, "does not answer", Level.PROBLEM,
        replace(healthy(), manager_error="the manager does not answer")),
    (18, "differs from what runs", Level.NOTE, replace(healthy(), pending=("restart es",))),
    (18, "anybody", Level.WARNING, replace(healthy(), doubts=({"message": "anybody can use it"},))),
    (19, "there is no program", Level.PROBLEM,
        replace(healthy(), doubts=({"message": 'there is no program "x" on PATH'},))),
    (19, "secrets", Level.WARNING, with_file("env_file", mode=0o644)),
    (20, "buffered in blocks", Level.NOTE, with_service("feed", buffered=True)),
    (21, "went into the background", Level.PROBLEM, with_service(
        "feed", row={"detail": "(nginx went into the background)"})),
    (22, "doesn't need it", Level.WARNING, with_service("cam", connects=frozenset({"es"}))),
    (23, "crashes again and again", Level.PROBLEM, with_service(
        "feed", row={"history": [ending("exit code 1", "backoff")] * 3})),
    (23, "has failed", Level.PROBLEM, with_service("feed", row={"state": "failed"})),
    (23, "run out of memory", Level.PROBLEM, replace(
        with_service("feed", row={"exit": {"code": None, "signal": 9}}),
        host=HostFacts(oom_kills=1))),
    (24, "took 25.0 s to start", Level.WARNING,
        with_service("feed", measured={"ready_seconds": 25.0})),
    (24, "had to be killed", Level.WARNING, with_service(
        "feed", row={"history": [ending("stop requested", "stopped", 99, 9)] * 2})),
    (25, "kills the manager after 10", Level.WARNING, with_host(grace=10.0)),
    (26, "is left over", Level.NOTE, with_place(stale_socket=True)),
    (26, "another deployment runs", Level.WARNING, with_place(others=("lab (pid 3)",))),
    (26, "still runs 0.9", Level.WARNING, with_place(running="0.9")),
    (27, "XDG_RUNTIME_DIR", Level.NOTE, with_place(runtime_home=None)),
    (27, "too long for a socket", Level.NOTE, with_place(socket="/" + "x" * 120)),
    (27, "others can enter", Level.PROBLEM, with_place(wide_open=("/run/x",))),
    (27, "network file system", Level.WARNING,
        replace(healthy(), disks=(DiskFacts(path="/nfs", free=1 << 30, network=True),))),
    (28, "inodes left", Level.PROBLEM,
        replace(healthy(), disks=(DiskFacts(path="/logs", free=1 << 30, inodes=10),))),
    (28, "logs may take", Level.WARNING,
        replace(healthy(), disks=(DiskFacts(path="/logs", free=1000, needed=2000),))),
    (28, "full in 0.3 h", Level.PROBLEM,
        replace(healthy(), disks=(DiskFacts(path="/logs", free=1000, needed=2000, rate=1.0),))),
    (28, "could not be written", Level.PROBLEM, with_service(
        "feed", measured={"log": {"streams": {"output": {"unwritten": 4}}}})),
    (29, "and 1024 files", Level.WARNING, with_service("es", nofile=1024)),
    (29, "the host has", Level.WARNING, replace(
        with_service("es", spec={"max_rss": 9_000_000_000}), host=HostFacts(memory=4_000_000_000))),
    (30, "was set by +9.0 s", Level.WARNING, with_host(clock_step=9.0)),
    (30, "no time server", Level.NOTE, with_host(synchronized=False)),
    (31, "nothing starts", Level.NOTE, with_host(systemd=True)),
    (31, "isn't enabled", Level.WARNING, replace(
        with_place(unit="u.service", unit_enabled=False), host=HostFacts(systemd=True))),
    (31, "isn't what this version", Level.NOTE, replace(
        with_place(unit="u.service", unit_current=False), host=HostFacts(systemd=True))),
    (31, "when you log out", Level.WARNING, replace(
        with_place(unit="u.service", lingers=False), host=HostFacts(systemd=True))),
    (32, "has lost 3 events", Level.WARNING,
        with_service("es", subscribers=(subscriber(dropped=3),))),
    (32, "has 9 of 10", Level.WARNING, with_service("es", subscribers=(subscriber(queued=9),))),
    (32, "suspended", Level.WARNING,
        with_service("es", subscribers=(subscriber(suspended=["(a+)+"]),))),
    (32, "can't reach", Level.WARNING, with_service(
        "es", subscribers=(subscriber(kind="callback", state="retrying"),))),
    (33, "nobody hears lab.heta", Level.NOTE, with_service(
        "es", subjects=(subject("lab.heta"),), subscribers=(subscriber(),))),
    (33, "which nobody publishes", Level.NOTE, with_service(
        "es", subjects=(subject("lab.heta", 1),), subscribers=(subscriber(),))),
    (34, "would lose 1", Level.NOTE, with_service("es", losses=({"lost": [PLAIN]},))),
    (35, "not installed", Level.PROBLEM,
        replace(healthy(), page=PageFacts(service="web", extra=False))),
    (35, "beyond this host", Level.PROBLEM,
        replace(healthy(), page=PageFacts(service="web", host="0.0.0.0"))),
    (35, "token", Level.PROBLEM,
        replace(healthy(), page=PageFacts(service="web", token_mode=0o644))),
    (35, "does not answer at", Level.WARNING, replace(
        healthy(), page=PageFacts(service="web", public_url="https://x/", public_answers=False))),
    (35, "through the proxy", Level.WARNING,
        replace(healthy(), page=PageFacts(service="web", public_url="https://x/", first_byte=3.0))),
    (36, "unreaped", Level.WARNING, with_host(unreaped=4, first_process="sleep")),
    (36, "isn't Type=notify", Level.WARNING, with_place(unit="u.service", unit_notify=False)),
    (36, "WatchdogSec is 2", Level.WARNING, with_place(unit="u.service", watchdog=2.0)),
]  # fmt: skip


@pytest.mark.parametrize(("number", "words", "level", "facts"), FAULTS)
def test_a_fault_is_found_by_its_check(number: int, words: str, level: Level, facts: Facts) -> None:
    """With level, place and remedy, and by no other words."""
    found = [each for check, finds in run(facts) if check.number == number for each in finds]
    matching = [each for each in found if words in each.text]
    assert matching, [each.text for each in found]
    assert matching[0].level is level
    assert matching[0].place
    assert matching[0].remedy


def test_healthy_facts_have_no_finding() -> None:
    """Nothing is reported without a reason; also when next to nothing is known."""
    for facts in (healthy(), Facts(now=NOW)):
        found = [each.text for _, finds in run(facts) for each in finds]
        assert found == []


def test_there_is_a_fault_for_each_check() -> None:
    """The numbers are 1 to 36, and each has been made to find something above."""
    assert [check.number for check in CHECKS] == list(range(1, 37))
    assert {number for number, *_ in FAULTS} == set(range(1, 37))


def test_the_variables_are_those_of_pyro5() -> None:
    """Pyro5 refuses to import with any other, and with values of another type."""
    defaults = Pyro5.configure.Configuration().as_dict()
    kinds = {bool: "yes or no", int: "a number", float: "a number"}
    assert {f"PYRO_{name}": kinds.get(type(value), "text") for name, value in defaults.items()} == (
        PYRO_VARIABLES
    )


def test_a_report_says_it_to_people_and_to_programs() -> None:
    """The worst first for people; one line for Nagios; a level for each check for Prometheus."""
    facts = replace(with_port(80), unknown=("names: no route",), round_trip=0.5)
    found = list(run(facts))
    lines = text(found, facts)
    assert lines[0].startswith("problem  port 80 of ns")
    assert lines[2].strip().startswith("→ take one from 1024 on")
    assert lines[-2:] == ["unknown  names: no route", "36 checks: 1 problem, 1 warning"]
    assert nagios(found).startswith("PYROCTL CRITICAL - 36 checks: 1 problem, 1 warning: port 80")
    assert 'pyroctl_doctor_level{check="8",title="odd ports"} 3' in prometheus(found)
    data = plain(found, facts)
    assert (data["level"], len(data["checks"]), len(data["findings"])) == ("problem", 36, 2)
    assert data["unknown"] == ["names: no route"]
    quiet = list(run(healthy()))
    assert (worst(quiet), summary(quiet)) == (Level.OK, "36 checks: nothing found")
    assert nagios(quiet) == "PYROCTL OK - 36 checks: nothing found"
