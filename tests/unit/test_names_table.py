"""What the manager knows of the names in a name server, and whose they are."""

from __future__ import annotations

import itertools
import json

from pyroctl.core.names import GONE, LARGEST_BATCH, NameTable, batches, name_server_of

A, B = "PYRO:a@lab:1", "PYRO:b@lab:1"


def table(**owners: int | None) -> NameTable:
    """Return a table with names at `PYRO:NAME@NAME:1` that have these owners."""
    made = NameTable()
    made.update({name: [f"PYRO:{name}@{name}:1", ["m"]] for name in owners}, complete=True)
    made.settle({f"PYRO:{name}@{name}:1": owner for name, owner in owners.items()})
    return made


def test_a_name_at_a_known_location_has_the_same_owner_until_that_ends() -> None:
    """So a daemon with a thousand names is looked for once."""
    names = NameTable()
    names.update(
        {"a": [A, []], "Pyro.NameServer": ["PYRO:Pyro.NameServer@lab:9", []]}, complete=True
    )
    assert names.new() == {"a": A}
    assert names.new() == {}
    names.settle({A: 7})
    names.update({"b": [B, []]}, complete=False)
    assert (names.uris({7}), names.new()) == ({"a": A, "b": B}, {})
    names.ended([7])
    names.update({"b": [B, []]}, complete=False)
    assert names.new() == {"b": B}


def test_what_ended_is_neither_restored_nor_foreign() -> None:
    """It is to be removed; a name without an owner is only named."""
    names = table(alive=7, dead=8, foreign=None)
    names.settle({"PYRO:dead@dead:1": None, "PYRO:foreign@foreign:1": None})
    assert names.restorable({7}) == {"alive": ["PYRO:alive@alive:1", ("m",)]}
    assert names.dead({7}) == names.uris({GONE}) == {"dead": "PYRO:dead@dead:1"}
    assert list(names.foreign()) == ["foreign"]
    names.drop(["dead"])
    assert list(names.uris()) == ["alive", "foreign"]


def test_a_new_list_keeps_owners_while_the_uri_is_the_same() -> None:
    """A removed name is forgotten; one with another URI has to be looked for again."""
    names = table(same=7, moved=7, removed=7, dead=8)
    names.settle({"PYRO:dead@dead:1": None})
    report = {"same": ["PYRO:same@same:1", []], "dead": ["PYRO:dead@dead:1", []]}
    names.update({**report, "moved": ["PYRO:moved@other:1", []]}, complete=True)
    assert names.uris({7}) == {"same": "PYRO:same@same:1"}
    assert list(names.uris({GONE})) == ["dead"]
    assert list(names.new()) == ["moved"]
    names.update({"same": None}, complete=False)
    assert list(names.uris()) == ["dead", "moved"]


def test_what_a_stranger_has_registered_is_not_protected() -> None:
    """Whoever listens there; a registrar that is ours changes that, the same again doesn't."""
    names = NameTable()
    ends = [["127.0.0.1", 1], ["127.0.0.1", 9]]
    report = {"ours": [A, []], "stolen": [A, []], "old": [A, []]}
    names.update(report, complete=True, registrars={"ours": ends, "stolen": ends, "old": None})
    asked = names.registrars()
    assert asked.keys() == {"ours", "stolen"}
    assert asked["ours"] == (("127.0.0.1", 1), ("127.0.0.1", 9))
    names.acknowledge(["ours", "removed meanwhile"])
    names.settle({A: 7})
    assert names.unprotected() == {"ours": A}
    assert names.strange(report) == ["stolen", "old"]
    names.update({"ours": [A, []]}, complete=False, registrars={"ours": ends})
    names.update({"stolen": [A, []]}, complete=False)
    assert names.unprotected() == {"ours": A, "stolen": A}
    assert names.registrars() == {}
    names.update({"ours": [A, ["new"]]}, complete=False, registrars={"ours": ends})
    assert names.unprotected() == {}


def test_batches_fit_into_a_question() -> None:
    """Nothing is lost or duplicated; what is too long alone goes alone."""
    names = {f"name.{n}": [f"PYRO:x@localhost:{n}", ["m"] * (n % 50)] for n in range(2000)}
    names["long"] = ["x" * 2 * LARGEST_BATCH, []]
    parts = list(batches(names))
    assert dict(itertools.chain.from_iterable(part.items() for part in parts)) == names
    assert all(len(json.dumps(part)) < 2 * LARGEST_BATCH for part in parts if "long" not in part)
    assert parts[-1].keys() == {"long"}
    assert list(batches({})) == []


def test_where_a_program_looks_for_its_name_server() -> None:
    """As Pyro5 does, with its defaults."""
    assert name_server_of({}) == "localhost:9090"
    assert name_server_of({"PYRO_NS_HOST": "lab", "PYRO_NS_PORT": ""}) == "lab:9090"
    assert name_server_of({"PYRO_NS_HOST": "::1", "PYRO_NS_PORT": "7"}) == "[::1]:7"
