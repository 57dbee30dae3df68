"""Options of a service: each is declared once, as a field of a dataclass.

The field has the name, the type and the default; `option` adds what the command line needs. So the
grammar of a command line, and the checks of values, are made from the dataclass.
"""

from __future__ import annotations

import re
import sys
from dataclasses import MISSING, Field, dataclass, field, fields
from math import nan, ulp
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    Group = argparse._ActionsContainer  # noqa: SLF001 - the base of parsers and their groups

T = TypeVar("T")


def _decimal(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def _octal(text: str) -> int:
    if not re.fullmatch("0?[0-7]{3}", text):
        raise ValueError(text)
    return int(text, 8)


class Quantity(NamedTuple):
    """What the value of an option measures, and its bounds."""

    what: str
    """As in "not an integer of at least 1"."""
    metavar: str
    convert: Callable[[str], float]
    lowest: float = 0
    highest: float = sys.float_info.max
    form: str = ""
    """How a value is written, see `format`."""

    def check(self, value: float, shown: object) -> None:
        """Raise ValueError if the value is out of bounds."""
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"must be {self.what}, not {shown!r}")


COUNT = Quantity("an integer of at least 1", "N", _decimal, 1)
PORT = Quantity("a port from 0 to 65535", "PORT", _decimal, 0, 65535)
SIZE = Quantity("an integer of at least 1", "BYTES", _decimal, 1)
SECONDS = Quantity("a number of seconds", "SECONDS", float, form="g")
POSITIVE_SECONDS = Quantity("a positive number of seconds", "SECONDS", float, ulp(0.0), form="g")
MODE = Quantity("permissions such as 0660", "MODE", _octal, 0, 0o777, "04o")


def option(
    default: Any,
    text: str,
    *flags: str,
    unit: Quantity | None = None,
    group: str | None = None,
    **more: Any,
) -> Any:
    """Return a dataclass field for an option.

    text: the sentence of `--help`; the default is added unless it has "(default". flags: two dashes
    and the field's name if there are none. group: where `add_options` adds it. more: further
    arguments of `ArgumentParser.add_argument`.
    """
    metadata = {"text": text, "flags": flags, "unit": unit, "group": group, "more": more}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """How a service serves TLS; `pyro_wire.tls.door` takes these."""

    tls: str = option(
        "off",
        "TLS for clients over TCP, which must have a certificate of the CA: none, TLS beside plain "
        "connections, or TLS only",
        choices=("off", "both", "required"),
        metavar="MODE",
        group="tls",
    )
    tls_certificate: str | None = option(
        None,
        "the certificate (default: that of this host in the site's directory)",
        metavar="FILE",
        group="tls",
    )
    tls_key: str | None = option(
        None, "its key (default: key.pem beside it)", metavar="FILE", group="tls"
    )
    tls_ca: str | None = option(
        None, "the CA's certificate (default: ca.pem beside it)", metavar="FILE", group="tls"
    )
    tls_clients: str | None = option(
        None,
        "the clients that are let in (default: clients.toml beside it or of the site)",
        metavar="FILE",
        group="tls",
    )


def add_options(parser: Group, table: type, groups: Mapping[str, Any] | None = None) -> None:
    """Add the options of a dataclass to a parser, or to those of its groups that they name."""
    for each in declared(table):
        flags = each.metadata["flags"] or ("--" + each.name.replace("_", "-"),)
        arguments = _arguments(each)
        if flags[0].startswith("-"):
            arguments["dest"] = each.name
        group: Group = (groups or {}).get(each.metadata["group"], parser)
        group.add_argument(*flags, **arguments)


def from_arguments(table: Callable[..., T], arguments: argparse.Namespace) -> T:
    """Return the dataclass of parsed arguments. Raises ValueError for values out of bounds."""
    values = {each.name: getattr(arguments, each.name) for each in declared(table)}
    return table(**{n: tuple(v) if isinstance(v, list) else v for n, v in values.items()})


def check_options(options: Any, table: Any) -> None:
    """Raise ValueError if the value of an option that the dataclass declares is out of bounds."""
    for each in declared(table):
        value, unit = getattr(options, each.name), each.metadata["unit"]
        choices = each.metadata["more"].get("choices", ())
        if choices and value not in choices:
            raise ValueError(f"{each.name} must be one of {', '.join(choices)}, not {value!r}")
        try:
            if unit is not None and value is not None:
                unit.check(value, value)
        except ValueError as error:
            raise ValueError(f"{each.name} {error}") from None


def declared(table: Any) -> list[Field[Any]]:
    """Return the fields of a dataclass that are options, positional ones first."""
    found = [each for each in fields(table) if "flags" in each.metadata]
    return sorted(found, key=lambda each: each.kw_only is True)


def _arguments(each: Field[Any]) -> dict[str, Any]:
    """Return the arguments of `add_argument` for a field."""
    text, unit, default = each.metadata["text"], each.metadata["unit"], each.default
    found: dict[str, Any] = {} if default is MISSING else {"default": default}
    if unit is not None:
        found |= {"type": _reader(unit), "metavar": unit.metavar}
    if isinstance(default, bool):
        found["action"] = "store_false" if default else "store_true"
    elif default == ():
        found |= {"action": "append", "default": []}
    elif "default" in found and default is not None and "(default" not in text:
        text += f" (default: {format(default, unit.form if unit else '')})"
    return {**found, "help": text, **each.metadata["more"]}


def _reader(unit: Quantity) -> Callable[[str], float]:
    def read(text: str) -> float:
        from argparse import ArgumentTypeError  # noqa: PLC0415 - not for a service in a program

        try:
            value = unit.convert(text)
        except ValueError:
            value = nan
        try:
            unit.check(value, text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None
        return value

    return read
