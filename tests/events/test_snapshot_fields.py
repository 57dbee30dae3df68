"""A handover is complete: every attribute of a class in it is on one of the class's lists."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import textwrap
from typing import Any

import pytest

import pyro_events._broker as broker_package
from pyro_events._broker.delivery.callback.subscriber import CallbackSubscriber
from pyro_events._broker.delivery.stream import StreamSubscriber
from pyro_events._broker.snapshot.fields import Fields, Snapshotted
from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter

for found in pkgutil.walk_packages(broker_package.__path__, f"{broker_package.__name__}."):
    importlib.import_module(found.name)


def subclasses(base: type) -> set[type[Any]]:
    direct: set[type[Any]] = set(base.__subclasses__())
    return direct.union(*map(subclasses, direct))


# A dataclass with slots is made of a class without, which stays in the list of subclasses.
CLASSES = sorted(
    {getattr(inspect.getmodule(each), each.__name__) for each in subclasses(Snapshotted)},
    key=lambda each: each.__name__,
)


def parsed(function: Any) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def used(tree: ast.AST, context: type[ast.expr_context]) -> set[str]:
    """Return the attributes of `self` that are set or read."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, context)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def attributes(cls: type) -> set[str]:
    """Return the names of the instance attributes, wherever a class sets or declares them."""
    names: set[str] = set()
    for base in cls.__mro__:
        if base is object or base.__module__ == "typing":
            continue
        slots = base.__dict__.get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
        if dataclasses.is_dataclass(base):
            names.update(field.name for field in dataclasses.fields(base))
        for value in vars(base).values():
            function = inspect.unwrap(getattr(value, "__func__", value))
            if inspect.isfunction(function) and function.__code__.co_filename != "<string>":
                names |= used(parsed(function), ast.Store)
    return names - {"__dict__", "__weakref__"}


def test_the_classes_are_found() -> None:
    """These are the classes of all packages, and those that are parts of others."""
    names = {each.__name__ for each in CLASSES}
    assert {"Engine", "Session", "Mailbox", "Deadline", "Retries", "CounterFile"} <= names
    assert len(names) > 20


@pytest.mark.parametrize("cls", CLASSES)
def test_every_attribute_is_carried_or_deliberately_not(cls: type[Snapshotted]) -> None:
    """A new attribute has to be added to SNAPSHOT or to TRANSIENT."""
    carried, transient = cls.SNAPSHOT.names, set(cls.TRANSIENT)
    assert not carried & transient
    assert len(cls.TRANSIENT) == len(transient)
    assert carried | transient == attributes(cls)


@pytest.mark.parametrize("cls", [StreamSubscriber, CallbackSubscriber])
def test_a_planned_restart_saves_what_it_does_not_give_up(cls: type[Snapshotted]) -> None:
    """`export` uses every attribute that is not listed as for handovers only."""
    open_names, reached = {"export"}, set[str]()
    while open_names:
        name = open_names.pop()
        reached.add(name)
        for base in cls.__mro__:
            member = base.__dict__.get(name)
            function = member.fget if isinstance(member, property) else member
            if inspect.isfunction(function):
                open_names |= used(parsed(function), ast.Load) - reached
    assert cls.SNAPSHOT.names >= cls.HANDOVER_ONLY
    assert cls.SNAPSHOT.names - reached == cls.HANDOVER_ONLY


def test_lists_are_used_in_both_directions() -> None:
    """Values are set, and objects with snapshots restored in place."""

    class Part(Snapshotted):
        SNAPSHOT = Fields("number")
        number = 0

    class Whole(Snapshotted):
        SNAPSHOT = Fields("text", parts=("part",), init=("name",))

        def __init__(self, name: str) -> None:
            self.name = name
            self.text = "old"
            self.part = Part()

    first, writer = Whole("first"), SnapshotWriter()
    first.text, first.part.number = "new", 7
    reader = SnapshotReader(writer.pack(first.snapshot(writer)), [])
    second = Whole("second")
    part = second.part
    second.restore(reader.values, reader)
    assert (second.text, second.part, part.number, second.name) == ("new", part, 7, "second")
