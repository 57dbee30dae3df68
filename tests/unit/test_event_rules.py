"""Rules of an event service: which one decides, and what it allows."""

from __future__ import annotations

import json

import pytest

from pyro_events._broker.principal import Evidence, Principal
from pyro_events._broker.rules import Rule, Rules, named

CAMERA = Principal("certificate", "camera-2")


def rules(*tables: dict[str, list[str]]) -> Rules:
    return Rules([Rule.parse(json.dumps(table)) for table in tables])


def test_without_rules_there_is_nothing_to_ask() -> None:
    """Rules that don't exist are false: then everything is allowed."""
    assert not Rules([])
    assert rules({"client": ["anyone"]})


def test_the_first_rule_for_a_client_decides() -> None:
    """Later ones, even if they allow more, mean nothing for it; a client without one gets none."""
    found = rules(
        {"client": ["camera-*"], "publish": [r"lab\.{client}\."], "subscribe": ["lab"]},
        {"client": ["camera-2", "stage"], "publish": [".*"]},
    )
    camera, stage, nobody = map(
        found.of, (CAMERA, Principal("secret", "stage"), Principal("address", "10.0.0.5"))
    )
    assert (camera.number, stage.number, nobody.number) == (1, 2, None)
    assert camera.may_publish("LAB.Camera-2.frame")
    assert not camera.may_publish("lab.camera-3.frame")
    assert camera.publishing("lab.camera-2.frame").pattern == r"lab\.{client}\."
    assert camera.may_hear("lab.anything")
    assert camera.heard == ("lab",)
    assert stage.may_publish("anything")
    assert not stage.may_hear("lab.anything")
    assert not nobody.may_publish("lab")


def test_the_name_of_a_client_is_no_pattern() -> None:
    """It is put in escaped."""
    found = rules({"client": ["*"], "publish": [r"lab\.{client}$"]})
    dots = found.of(Principal("certificate", "a.*"))
    assert dots.may_publish("lab.a.*")
    assert not dots.may_publish("lab.a.bcd")


@pytest.mark.parametrize(
    ("text", "evidence", "name", "means"),
    [
        ("camera-*", "certificate", "camera-2", True),
        ("camera-*", "secret", "camera-2", True),
        ("camera-*", "certificate", "stage", False),
        ("Camera-2", "certificate", "camera-2", False),
        ("uid:1000", "user", "uid:1000", True),
        ("uid:1000", "user", "uid:1000@127.0.0.2", True),
        ("uid:1000", "user", "uid:10001", False),
        ("uid:0", "certificate", "uid:0", False),
        ("*", "user", "uid:0", False),
        ("10.0.0.5", "address", "10.0.0.5", True),
        ("10.0.0.0/24", "address", "10.0.0.5", True),
        ("10.0.0.0/24", "address", "10.0.1.5", False),
        ("10.0.0.0/24", "address", "fe80::1%eth0", False),
        ("fe80::/10", "address", "fe80::1%eth0", True),
        ("10.0.0.5", "certificate", "10.0.0.5", False),
        ("*", "address", "10.0.0.5", False),
        ("anyone", "address", "10.0.0.5", True),
        ("anyone", "certificate", "camera-2", True),
    ],
)
def test_what_a_rule_says_of_clients(text: str, evidence: Evidence, name: str, means: bool) -> None:
    """Names are of certificates and secrets; no certificate can claim a user or an address."""
    assert Rule((text,)).is_for(Principal(evidence, name)) is means


def test_rights_are_not_for_anyone_unless_given() -> None:
    """Clients with a name have all of them unless the rule lists some."""
    assert Rule(("camera-*",)).rights == {"callback", "subscriptions"}
    assert Rule(("anyone",)).rights == frozenset()
    assert Rule(("camera-*", "anyone")).rights == frozenset()
    found = rules({"client": ["anyone"], "may": ["callback"]}).of(CAMERA)
    assert found.has("callback")
    assert not found.has("subscriptions")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[]", "a rule is a JSON object"),
        ("{}", "a rule needs a client"),
        ('{"client": "x"}', "client of a rule must be a list of texts"),
        ('{"client": ["x"], "publish": ["("]}', "pattern '\\(' is refused"),
        ('{"client": ["x"], "hear": []}', "a rule has no 'hear'; it has client, publish"),
        ('{"client": ["x"], "may": ["fly"]}', "there is no right 'fly': callback, subscriptions"),
    ],
)
def test_what_is_no_rule_is_refused(table: str, words: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=words):
        Rule.parse(table)


def test_a_pattern_that_takes_too_long_allows_nothing() -> None:
    """It is cut off as in subscriptions, and the next one is tried."""
    found = rules({"client": ["*"], "publish": ["(a|a)*(?#N)$", "a+b"]}).of(CAMERA)
    assert not found.may_publish("a" * 40 + "c")
    assert found.publishing("a" * 40 + "b").pattern == "a+b"


def test_memory_is_bounded() -> None:
    """A client that tries ever new subjects, or ever new clients, cost no more than that."""
    found = rules({"client": ["anyone"], "publish": ["a"]})
    permissions = found.of(CAMERA)
    for number in range(20_001):
        assert permissions.may_publish(f"a{number}")
    assert len(permissions.may_publish.args[0]) <= 10_000
    for number in range(20_001):
        found.of(Principal("certificate", f"c{number}"))
    assert len(found._known) <= 10_000


@pytest.mark.parametrize(
    ("text", "evidence"),
    [("camera-2", "certificate"), ("uid:1000", "user"), ("::1", "address"), ("a.b", "certificate")],
)
def test_a_text_names_a_client(text: str, evidence: Evidence) -> None:
    """What people write is taken for a user or an address if it looks like one."""
    assert named(text) == (evidence, text)
