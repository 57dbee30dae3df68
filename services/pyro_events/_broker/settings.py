"""What may be chosen about an event service, and every limit and delay of its engine."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, get_args

from pyro_child.options import (
    COUNT,
    MODE,
    PORT,
    POSITIVE_SECONDS,
    SECONDS,
    SIZE,
    TlsOptions,
    check_options,
    option,
)
from pyro_events._broker.rules import Rule
from pyro_events._protocol.pressure import PATIENCE, check_when_full
from pyro_events.ident import parse_ident
from pyro_events.types import WhenFull

if TYPE_CHECKING:
    from collections.abc import Mapping


MIB: Final = 1 << 20
_SIZE: Final = SIZE._replace(what="an integer of at least 1024", lowest=1024)


def _policy(text: str) -> str:
    """Return a policy from the command line; what once was one is explained."""
    if text not in get_args(WhenFull):
        from argparse import ArgumentTypeError  # noqa: PLC0415 - not for a service in a program

        try:
            check_when_full(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None
    return text


def _network(text: str) -> str:
    """Return an address or a network from the command line."""
    try:
        check_network(text)
    except ValueError as error:
        from argparse import ArgumentTypeError  # noqa: PLC0415 - not for a service in a program

        raise ArgumentTypeError(str(error)) from None
    return text


def check_network(text: object) -> None:
    """Raise ValueError for what is neither an address nor a network, such as 10.0.0.0/24."""
    from ipaddress import ip_network  # noqa: PLC0415 - few need it

    try:
        ip_network(str(text))
    except ValueError as error:
        raise ValueError(f"not an address such as 10.0.0.7 or 10.0.0.0/24: {error}") from None


def _rule(text: str) -> Rule:
    """Return a rule from the command line."""
    from argparse import ArgumentTypeError  # noqa: PLC0415 - not for a service in a program

    try:
        return Rule.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions(TlsOptions):
    """The choices of users: options of `es` and arguments of `EventService`, declared once here.

    Raises ValueError that names what is out of bounds.
    """

    ident: str | None = None
    """The secrets of which clients must have one; see `pyro_events.ident`. `es` reads them from a
    file: a command line is visible to all users of the machine."""
    queue_size: int = option(
        10_000,
        "events for one subscriber that may wait or be on their way",
        unit=COUNT,
        group="queues",
    )
    queue_bytes: int | None = option(
        None,
        "the same in bytes (default: 16 MiB or the size of the largest message, whichever is more)",
        unit=_SIZE,
        group="queues",
    )
    max_queued_bytes: int = option(
        1 << 30, "the same for all subscribers together", unit=_SIZE, group="queues"
    )
    when_full: WhenFull = option(
        "drop-oldest",
        "what to do when a queue is full",
        choices=get_args(WhenFull),
        type=_policy,
        group="queues",
    )
    patience: float = option(
        PATIENCE,
        "how long a publish waits for full queues if its client sets no patience",
        unit=SECONDS,
        group="queues",
    )
    stuck_timeout: float = option(
        5.0,
        "a subscriber that takes nothing for so long holds no publisher, however patient",
        unit=SECONDS,
        group="queues",
    )
    max_message_size: int = option(
        16 * MIB, "larger requests are rejected, compressed or not", unit=_SIZE, group="limits"
    )
    max_connections: int = option(10_000, "connections in all", unit=COUNT, group="limits")
    max_connections_per_peer: int = option(
        8000, "connections from one address, or user of a Unix socket", unit=COUNT, group="limits"
    )
    max_subscribers: int = option(8000, "subscribers in all", unit=COUNT, group="limits")
    max_subscriptions: int = option(
        1000, "subjects and patterns per subscriber", unit=COUNT, group="limits"
    )
    callback_allow: tuple[str, ...] = option(
        (),
        "also call subscribers at these addresses, besides those that clients call from",
        metavar="NETWORK",
        type=_network,
        group="limits",
    )
    handshake_timeout: float = option(
        5.0, "how long a client's handshake may take", unit=POSITIVE_SECONDS, group="limits"
    )
    trusted: bool = option(
        False,
        "accept the marshal serializer, with which a hostile client can crash the process",
        group="limits",
    )
    allow: tuple[Rule | Mapping[str, Any], ...] = option(
        (),
        "what some clients may publish, hear and ask for; the first rule for a client decides",
        type=_rule,
        metavar="JSON",
    )
    tcp_only: bool = option(
        False, "have no socket of its own for publishers on this machine; they use TCP, too"
    )
    socket_mode: int = option(0o600, "permissions of the Unix socket, octal", unit=MODE)

    def __post_init__(self) -> None:
        """Check the bounds, and that the identification is one."""
        check_when_full(self.when_full)
        for network in self.callback_allow:
            check_network(network)
        rules = (each if isinstance(each, Rule) else Rule.of(each) for each in self.allow)
        object.__setattr__(self, "allow", tuple(rules))
        if self.ident is not None:
            parse_ident(self.ident)
        check_options(self, BrokerOptions)


@dataclass(frozen=True, slots=True)
class ServiceOptions(BrokerOptions):
    """The same, and where the service listens and registers."""

    host: str = option("localhost", "where to listen; ./u:PATH is a Unix socket", "-n", "--host")
    port: int = option(0, "where to listen; 0 takes any free port", "-p", "--port", unit=PORT)
    _: KW_ONLY
    register: bool = option(True, "do without a name server", "-N", "--no-ns")
    ns: str | None = option(
        None, "where the name server is (default: Pyro5's NS_HOST)", metavar="HOST:PORT"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BrokerOptions):
    """All that the engine works with. Seconds and bytes throughout."""

    queue_bytes: int = 16 * MIB
    """Never None here, see `settings_of`."""
    handshake_size: int = 64 << 10
    max_handshakes: int = 256
    """Connections in all whose client isn't accepted yet."""
    max_handshakes_per_peer: int = 32
    """The same of one address or user, if they take long."""
    max_tls_handshakes: int = 512
    """Connections in all that have begun TLS, and whose client isn't accepted yet."""
    batch_events: int = 250
    """Per frame. Every frame costs both ends as much as some fifty events; but a receiver creates
    the objects of a whole frame, and those of a thousand events don't fit a processor's cache."""
    batch_bytes: int = 256 << 10
    window: int = 4
    """Unanswered frames per subscriber."""
    reply_timeout: float = 30.0
    """A callback subscriber that doesn't answer for so long counts as broken."""
    connect_timeout: float = 5.0
    retry_delay: float = 0.1
    retry_max_delay: float = 5.0
    retry_for: float = 60.0
    """A callback subscriber that stays unreachable for so long is dropped."""
    ping_after: float = 10.0
    silence: float = 30.0
    """A stream that sends nothing for so long counts as broken."""
    reconnect_grace: float = 30.0
    """The mailbox of a broken stream is kept for so long."""
    publisher_memory: float = 3600.0
    """The last sequence number of an idle publisher is kept for so long."""
    max_publishers: int = 10_000
    publishers_per_connection: int = 8
    callback_failures: int = 10
    """New callback subscribers of one principal that may be unreachable, in a minute."""
    drain_timeout: float = 2.0
    """How long stopping waits for queues to drain."""


def settings_of(options: BrokerOptions) -> Settings:
    """Return the engine's settings for the choices of a user."""
    chosen = {each.name: getattr(options, each.name) for each in fields(BrokerOptions)}
    if options.queue_bytes is None:
        chosen["queue_bytes"] = max(Settings().queue_bytes, options.max_message_size)
    return Settings(**chosen)
