"""Which changes of state people hear of, and how often."""

from __future__ import annotations

import pytest

from pyroctl.config.load import load
from pyroctl.core.alerts.policy import Quiet, decide, is_wanted
from pyroctl.core.alerts.spec import AlertsSpec
from pyroctl.core.diff import manager_changes, waits
from pyroctl.core.state import ServiceState, State
from pyroctl.errors import ConfigError

ALL = AlertsSpec(("failed", "running", "stopped", "unhealthy"), interval=10)


@pytest.mark.parametrize(
    ("state", "because", "troubled", "wanted"),
    [
        ("failed", "", False, True),
        ("backoff", "", False, False),  # not chosen
        ("stopped", "", False, False),  # a person has stopped it
        ("stopped", "ns went down", False, True),
        ("running", "", False, False),
        ("running", "", True, True),  # it has recovered
    ],
)
def test_people_don_t_hear_of_what_they_asked_for(state, because, troubled, wanted):
    """Only of chosen states, and of `running` only after trouble."""
    found = ServiceState(State.STOPPED, because=because)
    assert is_wanted(ALL, "s", state, found, Quiet(troubled=troubled)) is wanted


def test_services_are_chosen_by_name_or_common_name():
    """`worker` means all its instances."""
    spec = AlertsSpec(services=("w",))
    names = [n for n in ("w", "w@2", "v") if is_wanted(spec, n, "failed", ServiceState(), Quiet())]
    assert names == ["w", "w@2"]


def test_what_comes_too_often_is_counted():
    """After the interval, the next one is sent, and the count begins again."""
    quiet, sent = decide(ALL, "failed", Quiet(), 100)
    assert (sent, quiet.until, quiet.troubled) == (True, 110, True)
    for count in (1, 2):
        quiet, sent = decide(ALL, "failed", quiet, 109)
        assert (sent, quiet.suppressed) == (False, count)
    quiet, sent = decide(ALL, "running", quiet, 110)
    assert (sent, quiet.suppressed, quiet.troubled) == (True, 0, False)


TASK = "[services.t]\nkind = 'task'\ncommand = 'x'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[alerts]\n", "expected command or publish"),
        ("[alerts]\ncommand = 'x'\non = ['broken']\n", 'there is no state "broken"'),
        ("[alerts]\ncommand = 'x'\nservices = ['tt']\n", 'there is no service "tt"'),
        ("[alerts]\ncommand = 'x'\nevery = 3\n", "unknown key"),
        ("[services.t.watchdog]\ncall = 'f'\n", "there is no object whose f could be called"),
        ("[services.t.watchdog]\nport = 1\nexpect = 3\n", "expect goes with call"),
        ("[services.t.watchdog]\nport = 1\ncall = 'f'\n", "expected one of port, command and call"),
        ("[services.t.watchdog]\ncall = 'f'\nexpect = 1979-05-27\n", "expected no date or time"),
    ],
)
def test_a_fault_has_its_place(tmp_path, text, message):
    """In the configuration of alerts and of health by a method's answer."""
    file = tmp_path / "pyroctl.toml"
    file.write_text(TASK + text)
    with pytest.raises(ConfigError) as caught:
        load(str(file), {}, "/")
    (fault,) = caught.value.diagnostics
    assert message in fault.message
    assert (fault.line or 0) >= 4


def test_alerts_take_effect_with_a_reload(tmp_path):
    """Their keys are shown with their origins, and none waits for the next manager."""
    file = tmp_path / "pyroctl.toml"
    file.write_text(TASK)
    before = load(str(file), {}, "/").deployment
    file.write_text(TASK + "[alerts]\npublish = 'lab.alerts'\n")
    after = load(str(file), {}, "/")
    (change,) = manager_changes(before, after.deployment)
    assert (change.key, change.new, waits(change)) == ("alerts.publish", "lab.alerts", False)
    assert after.origins["alerts.publish"].line == 5
