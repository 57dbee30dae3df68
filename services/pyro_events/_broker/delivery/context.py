"""What subscribers and publications share with the broker. For the loop's thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pyro_events._broker.counting.inventory import Inventory
from pyro_events._broker.delivery.encoder import Encoder
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events._broker.counting.traffic import Traffic
    from pyro_events._broker.delivery.callback.connection import CallbackTls
    from pyro_events._broker.delivery.callback.failure_limit import FailureLimit
    from pyro_events._broker.delivery.mailbox import SharedRoom
    from pyro_events._broker.delivery.options import SubscriberOptions
    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.net.socket_owner import SocketOwners
    from pyro_events._broker.router import Router
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.accepted import AcceptedEvents
    from pyro_events._broker.snapshot.counters import CounterFile

S = TypeVar("S")


@dataclass(slots=True)
class Counters(Snapshotted):
    """What happened since the start."""

    SNAPSHOT: ClassVar = Fields(
        "published", "delivered", "errors", "retries", "announced", "refused",
        "dropped_with_subscriber", "gave_up", "unmatched", "dropped_unsent",
    )  # fmt: skip

    published: int = 0
    delivered: int = 0
    errors: int = 0
    retries: int = 0
    announced: int = 0
    """Events of the manager; `published` does not include them."""
    refused: int = 0
    """Calls that ended with an exception."""
    dropped_with_subscriber: int = 0
    """Events lost to subscribers that are gone."""
    gave_up: int = 0
    """How often a publisher waited in vain for a full queue."""
    unmatched: int = 0
    """Events of clients that nobody was subscribed to."""
    dropped_unsent: int = 0
    """Of those lost to subscribers that are gone, what waited for them at their end."""


@dataclass(slots=True)
class DeliveryContext(Snapshotted, Generic[S]):
    """What delivery needs to know and to call; `S` is what the router calls a subscriber."""

    SNAPSHOT: ClassVar = Fields(
        parts=("counters", "traffic"),
        init=("router", "notifiers"),
        router=FieldCodec(lambda router, _: router.charges()),  # subscribers carry the rest
        notifiers=FieldCodec(
            lambda notifiers, writer: [each.snapshot(writer) for each in notifiers]
        ),
    )
    TRANSIENT: ClassVar = (
        "loop", "owners", "settings", "defaults", "identity", "encoder", "drop", "record",
        "flush_if_idle", "tls",
        "inventory",  # whoever looks looks again
        "failures",  # a matter of a minute
        "counter_file",  # the broker carries it
        "accepted",  # the manager passes its memory on
        "shared_room",  # every mailbox enters what it holds
        "dirty", "held",  # nothing is, when the broker is quiescent
        "frozen",  # then there is no handover
    )  # fmt: skip

    loop: Loop
    owners: SocketOwners
    failures: FailureLimit
    settings: Settings
    defaults: SubscriberOptions
    """The options of a subscriber that asks for nothing."""
    identity: dict[str, str]
    """`uri` and `incarnation`, for notices."""
    counter_file: CounterFile
    router: Router[S]
    drop: Callable[[S, str], None]
    """Removes a subscriber for the reason given; counts and logs what was queued for it."""
    record: Callable[[S], None]
    """Writes the subscriber's present state to the roster."""
    flush_if_idle: Callable[[], None]
    """Called when a publication is in the queues; may send at once."""
    shared_room: SharedRoom
    """What all mailboxes together may hold."""
    accepted: AcceptedEvents | None = None
    """Where events outlive the process, if it is killed."""
    tls: CallbackTls | None = None
    """How helpers are called over TLS, if it is on."""
    encoder: Encoder = field(default_factory=Encoder)
    counters: Counters = field(default_factory=Counters)
    traffic: Traffic = field(init=False)
    """The loop's, where connections count their bytes."""
    inventory: Inventory = field(init=False)
    notifiers: set[Any] = field(default_factory=set)
    """DisconnectNotifiers that are at work."""
    dirty: list[S] = field(default_factory=list)
    """Subscribers with something to send in this round."""
    held: int = 0
    """Publications that wait for a full queue."""
    frozen: bool = False
    """Nothing is sent to subscribers any more: the next process sends it."""

    def __post_init__(self) -> None:
        self.traffic = self.loop.traffic
        self.inventory = Inventory(self.loop.clock)
