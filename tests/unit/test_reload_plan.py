"""What a reload would do, from the two deployments and the present states, without processes."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.config.edit.show import format_value
from pyroctl.core.diff import KeyChange, manager_changes, service_changes
from pyroctl.core.reload_plan import Action, Present, reload_plan
from pyroctl.core.spec import (
    CommandOptions,
    Deployment,
    EventServiceOptions,
    LogSpec,
    NameReady,
    NameServerOptions,
    NotifyReady,
    ObjectOptions,
    PortReady,
    ServiceSpec,
    WatchdogSpec,
)

CHANGED = [
    ServiceSpec("a", CommandOptions(("a",))),
    ServiceSpec("a", CommandOptions(("b", "c"), NameReady("x")), watchdog=WatchdogSpec(port=5)),
    ServiceSpec("a", CommandOptions(("b",), PortReady(3)), umask=0, env={"A": "1"}, nice=3),
    ServiceSpec("a", EventServiceOptions(ns="h:1", queue_bytes=1 << 20), limits={"core": 0}),
    ServiceSpec("a", EventServiceOptions(), needs=("b",), log=LogSpec(total_bytes=5, gzip=True)),
    ServiceSpec("a", ObjectOptions("m:C", path=("/a",)), watchdog=WatchdogSpec(command=("x",))),
    ServiceSpec("a", ObjectOptions("m:D", pyro_name="n"), max_cpu=50.0, user="u", cwd="/"),
    ServiceSpec("a", NameServerOptions(broadcast=True), success_exit=(0, 3)),
]


def command(name, *needs, **keys) -> ServiceSpec:
    return ServiceSpec(name, CommandOptions((name,)), needs=needs, **keys)


def deployment(*specs, name="lab") -> Deployment:
    return Deployment(name, {spec.name: spec for spec in specs}, "/lab", "/lab/lab.toml")


def all_up(old: Deployment) -> Present:
    return Present(dict(old.services), usable=set(old.services))


def plan(old, new, present=None, up=None) -> list[tuple[str, str]]:
    steps = reload_plan(old, new, present or all_up(old), up)
    return [(str(step.action), step.service) for step in steps]


def keys_of(old, new) -> list[tuple[str, bool]]:
    return [(change.key, change.live) for change in service_changes(old, new)]


def test_changes_name_keys_as_the_configuration_does():
    """Tables are compared key by key, and each key knows whether it takes effect at once."""
    old = command("a", env={"A": "1", "B": "2"}, log=LogSpec(keep=1))
    new = command("a", "b", env={"A": "1", "C": "3"}, log=LogSpec(keep=2), stop_timeout=1.0)
    new = replace(new, options=CommandOptions(("x",), PortReady(1)), cwd="/x")
    assert keys_of(old, new) == [
        ("command", False),
        ("ready", False),
        ("needs", True),
        ("stop_timeout", True),
        ("env.B", False),
        ("env.C", False),
        ("cwd", False),
        ("log.keep", True),
    ]


def test_another_kind_is_one_change():
    """Its options can't be compared."""
    old, new = command("a"), ServiceSpec("a", NameServerOptions(), stop_timeout=1.0)
    assert keys_of(old, new) == [("kind", False), ("stop_timeout", True)]


def test_values_of_the_environment_are_secret():
    """Their values are hidden; everything else is shown."""
    assert KeyChange("env.PASSWORD", "a", "b").secret
    assert not KeyChange("command", "a", "b").secret


def test_values_are_as_in_the_configuration():
    """Nothing in a plan is Python's: no None in a table, no numbers for permissions."""
    old = command("a")
    new = replace(old, options=CommandOptions(("a",), NotifyReady()), watchdog=WatchdogSpec())
    changes = {c.key: (c.old, c.new) for c in service_changes(old, replace(new, umask=0o27))}
    assert changes == {
        "ready": ({"delay": 0.5}, "notify"),
        "umask": (None, "0027"),
        "watchdog": (False, {"every": 2.0, "timeout": 2.0, "failures": 3}),
    }


@given(st.sampled_from(CHANGED), st.sampled_from(CHANGED))
def test_every_change_can_be_written(old, new):
    """Whatever differs, old and new are values that TOML has, or absent as a whole."""
    for change in service_changes(old, new):
        for value in (change.old, change.new):
            assert value is None or tomllib.loads(f"x = {format_value(value)}") == {"x": value}


def test_a_watchdog_comes_and_goes_live():
    """This holds for the table and for each key; stderr is connected when a process starts."""
    dog = replace(command("a"), watchdog=WatchdogSpec())
    assert keys_of(command("a"), dog) == [("watchdog", True)]
    other = replace(dog, watchdog=WatchdogSpec(every=9.0))
    assert keys_of(dog, other) == [("watchdog.every", True)]
    apart = replace(command("a"), log=LogSpec(stderr="apart"))
    assert keys_of(command("a"), apart) == [("log.stderr", False)]


def test_manager_keys_wait_for_a_new_manager():
    """They are reported apart from services and place."""
    old, new = deployment(command("a")), deployment(command("b"), name="x")
    assert [change.key for change in manager_changes(old, new)] == ["name"]


def test_nothing_changed_is_nothing_to_do():
    """This holds whatever is running."""
    old = deployment(command("a"), command("b", "a"))
    assert plan(old, old) == []


def test_only_what_changed_restarts_in_the_order_of_needs():
    """Dependents stay; a live change comes first and touches no process."""
    old = deployment(command("c", "b"), command("b", "a"), command("a"), command("d"))
    new = deployment(
        command("c", "b", cwd="/"),
        command("b", "a"),
        command("a", cwd="/"),
        command("d", stop_timeout=1.0),
    )
    assert plan(old, new) == [("update", "d"), ("restart", "a"), ("restart", "c")]


def test_removed_go_first_dependents_before_what_they_need():
    """New ones start in the order of their needs, restarts included."""
    old = deployment(command("a"), command("b", "a"), command("c"))
    new = deployment(command("c", "e", cwd="/"), command("e", "d"), command("d"))
    assert plan(old, new) == [
        ("remove", "b"),
        ("remove", "a"),
        ("start", "d"),
        ("start", "e"),
        ("restart", "c"),
    ]


def test_new_services_that_are_not_enabled_only_become_known():
    """They start only if another service needs them."""
    old = deployment(command("a"))
    new = deployment(
        command("a"), command("b", enabled=False), command("c", "d"), command("d", enabled=False)
    )
    assert plan(old, new) == [("add", "b"), ("start", "d"), ("start", "c")]


def test_a_stopped_service_stays_down():
    """Its new settings count when it is started; a restart starts what it needs."""
    old = deployment(command("a"), command("b"), command("c", "a"))
    new = deployment(command("a", cwd="/"), command("b"), command("c", "a", cwd="/"))
    present = Present({"b": old.services["b"]}, usable={"b"})
    assert plan(old, new, present) == [("update", "a"), ("update", "c")]
    present = Present({name: old.services[name] for name in "bc"}, usable={"b", "c"})
    assert plan(old, new, present) == [("update", "a"), ("start", "a"), ("restart", "c")]


def test_what_has_failed_is_tried_again_when_anything_of_it_changed():
    """The change may be the fix, for example of a time-out."""
    old = deployment(command("a"), command("b"))
    new = deployment(command("a", start_timeout=99.0), command("b"))
    assert plan(old, new, Present({}, troubled={"a", "b"})) == [("start", "a")]


def test_what_is_retried_starts_at_once_only_for_a_new_process():
    """A change that a running service would take at once waits for the next attempt."""
    old = deployment(command("a"), command("b"))
    new = deployment(command("a", restart_max_delay=99.0), command("b", cwd="/x"))
    retried = Present({}, troubled={"a", "b"}, retried={"a", "b"})
    assert plan(old, new, retried) == [("update", "a"), ("start", "b")]


def test_a_process_is_compared_with_what_it_was_started_with():
    """The configuration since then doesn't count: it may have restarted by itself."""
    first = deployment(command("a"))
    second = deployment(command("a", cwd="/x"))
    assert plan(first, second, all_up(second)) == []
    assert plan(second, first, all_up(first)) == []
    third = deployment(command("a", cwd="/x", stop_timeout=1.0))
    assert plan(second, third, all_up(first)) == [("restart", "a")]


def test_two_services_swap_their_ports():
    """The one that occupies the port stops first; otherwise neither could have the other's."""

    def at(name, port):
        return ServiceSpec(name, EventServiceOptions(port=port))

    old, new = deployment(at("a", 1), at("b", 2)), deployment(at("a", 2), at("b", 1))
    assert plan(old, new) == [("stop", "b"), ("restart", "a"), ("start", "b")]
    third = deployment(at("a", 2), at("b", 3))
    assert plan(old, third) == [("stop", "b"), ("restart", "a"), ("start", "b")]
    assert plan(old, deployment(at("b", 3), at("a", 2))) == [("restart", "b"), ("restart", "a")]


def test_programs_follow_a_name_server_that_moves():
    """They got its address when they started; an event service is notified instead."""

    def lab(port):
        return deployment(
            ServiceSpec("ns", NameServerOptions(port=port)),
            ServiceSpec("es", EventServiceOptions(), needs=("ns",)),
            command("run", "ns"),
        )

    steps = reload_plan(lab(1), lab(2), all_up(lab(1)))
    assert [(str(step.action), step.service) for step in steps] == [
        ("restart", "ns"),
        ("restart", "run"),
    ]
    (moved,) = steps[1].changes
    assert (moved.key, moved.old, moved.new) == ("name server", "localhost:1", "localhost:2")
    failed = Present({"ns": lab(1).services["ns"]}, troubled={"run"}, usable={"ns"})
    assert plan(lab(1), lab(2), failed) == [("restart", "ns"), ("start", "run")]
    stopped = Present({"ns": lab(1).services["ns"]}, usable={"ns"})
    assert plan(lab(1), lab(2), stopped) == [("restart", "ns")]


def test_a_rollback_starts_what_was_running():
    """This holds for enabled and other services."""
    old = deployment(command("a", enabled=False), command("b"), command("c"))
    new = deployment(command("c"))
    present = Present({"c": new.services["c"]}, usable={"c"})
    assert plan(new, old, present, up={"a", "c"}) == [("add", "b"), ("start", "a")]


NAMES = "abcdef"


@st.composite
def deployments(draw) -> Deployment:
    """Draw services whose needs only look back."""
    specs: list[ServiceSpec] = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1)):
        before = [spec.name for spec in specs]
        needs = draw(st.lists(st.sampled_from(before), unique=True)) if before else []
        port = draw(st.integers(0, 3))
        options = draw(st.sampled_from([CommandOptions(("x",)), EventServiceOptions(port=port)]))
        cwd = draw(st.sampled_from([None, "/x"]))
        timeout = draw(st.sampled_from([1.0, 2.0]))
        spec = ServiceSpec(name, options, needs=tuple(needs), cwd=cwd, stop_timeout=timeout)
        specs.append(spec)
    return deployment(*specs)


@given(old=deployments(), new=deployments(), stopped=st.sets(st.sampled_from(NAMES)))
def test_whatever_changes_the_plan_leads_there(old, new, stopped):
    """After it, what was running has the new settings, and is never without what it needs."""
    running = {n: spec for n, spec in old.services.items() if n not in stopped}
    present = Present(dict(running), usable=set(running))
    for step in reload_plan(old, new, present):
        match step.action:
            case Action.REMOVE | Action.STOP:
                running.pop(step.service, None)
            case Action.START | Action.RESTART:
                spec = new.services[step.service]
                assert running.keys() >= set(spec.needs), (step, running)
                running[step.service] = spec
    assert running.keys() <= new.services.keys()
    for name in old.services.keys() & new.services.keys() - stopped:
        assert all(change.live for change in service_changes(running[name], new.services[name]))
    for name in new.services.keys() - old.services.keys():
        assert running[name] == new.services[name]


def test_a_step_has_its_reason():
    """The text is for users."""
    old, new = deployment(command("a")), deployment(command("b"))
    steps = reload_plan(old, new, all_up(old))
    assert [step.why for step in steps] == ["no longer in the configuration", "new"]


@pytest.mark.parametrize("up", [None, set()])
def test_up_restricts_what_starts(up):
    """None means whatever is enabled."""
    old, new = deployment(command("a")), deployment(command("a"), command("b"))
    assert plan(old, new, up=up) == [("add" if up is not None else "start", "b")]
