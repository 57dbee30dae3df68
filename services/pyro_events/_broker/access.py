"""Applies the rules to clients and subscribers, also when they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyro_events._broker.rules import EVERYTHING, RIGHTS, NotAllowed, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyro_events._broker.delivery.subscriber import BrokerSubscriber
    from pyro_events._broker.principal import Principal
    from pyro_events._broker.router import Router
    from pyro_events._broker.rules import Permissions, Rule


class Access:
    """What clients may do by the present rules. For the loop's thread."""

    def __init__(self, rules: Sequence[Rule], router: Router[BrokerSubscriber]) -> None:
        self._rules = Rules(rules)
        self._free = not rules
        """Whether everybody may do everything."""
        self._router = router
        router.filter_by(self._hears if self._rules else None)

    def of(self, principal: Principal) -> Permissions | None:
        """Return what a client may do; None: everything, since there are no rules."""
        return self._rules.of(principal) if self._rules else None

    def check_hearing(self, principal: Principal, subjects: Iterable[str]) -> None:
        """Raise NotAllowed for a subject about which the client gets no events."""
        permissions = self.of(principal)
        if permissions is None:
            return
        for subject in subjects:
            if not permissions.may_hear(subject):
                may = ", ".join(permissions.heard) or "nothing"
                raise NotAllowed(
                    f"no rule lets {principal} subscribe to {subject!r:.80}; it may: {may:.500}"
                )

    def unheard(self, principal: Principal, subjects: Iterable[str]) -> list[str]:
        """Return those of the subjects about which the client gets no events."""
        permissions = self.of(principal)
        if permissions is None:
            return []
        return [subject for subject in subjects if not permissions.may_hear(subject)]

    def check_publishing(self, principal: Principal, subjects: Iterable[str]) -> None:
        """Raise NotAllowed for a subject about which the client may publish nothing."""
        permissions = self.of(principal)
        if permissions is None:
            return
        for subject in subjects:
            if not permissions.may_publish(subject):
                raise NotAllowed(f"no rule lets {principal} publish {subject!r:.80}")

    def may_publish(self, principal: Principal, subject: str) -> bool:
        """Return whether the client may publish something about the subject."""
        return self._free or self._rules.of(principal).may_publish(subject)

    def refused(self, principal: Principal, batch: Sequence[Any]) -> dict[int, str]:
        """Return the places in a batch of what the client may not publish, each with the reason."""
        found: dict[int, str] = {}
        if self._rules:
            for place, (subjects, *_) in enumerate(batch):
                try:
                    self.check_publishing(principal, subjects)
                except NotAllowed as error:
                    found[place] = str(error)
        return found

    def has_right(self, principal: Principal, right: str) -> bool:
        """Return whether the client has a right."""
        permissions = self.of(principal)
        return permissions is None or permissions.has(right)

    def check_right(self, principal: Principal, right: str) -> None:
        """Raise NotAllowed for a right that the client does not have."""
        if not self.has_right(principal, right):
            raise NotAllowed(f"no rule gives {principal} the right {right!r}")

    def explain(self, principal: Principal, subject: str) -> dict[str, object]:
        """Return what a client may do about a subject, and by what.

        The number of the rule is 0 if there are no rules, None if none is for the client.
        """
        permissions = self.of(principal)
        if permissions is None:
            everything = {"allowed": True, "pattern": None}
            may = sorted(RIGHTS - {"subscriptions"})
            return {"rule": 0, "publish": everything, "subscribe": everything, "may": may}
        return {
            "rule": permissions.number,
            "publish": permissions.publishing(subject)._asdict(),
            "subscribe": permissions.hearing(subject)._asdict(),
            "may": sorted(right for right in RIGHTS if permissions.has(right)),
        }

    def change(self, rules: Sequence[Rule], subscribers: Iterable[BrokerSubscriber]) -> int:
        """Use other rules from now on; tell subscribers what they lose, and return how many do."""
        before, self._rules, self._free = self._rules, Rules(rules), not rules
        self._router.filter_by(self._hears if self._rules else None)
        return sum(self._tell(subscriber, before) for subscriber in subscribers)

    def _hears(self, subscriber: BrokerSubscriber, subject: str) -> bool:
        return self._rules.of(subscriber.owner).may_hear(subject)

    def _tell(self, subscriber: BrokerSubscriber, before: Rules) -> bool:
        """Notify a subscriber of what it may get no more.

        Which subjects of a pattern those are can't be told, only that a rule allows other patterns.
        """
        now = self.of(subscriber.owner)
        if now is None:
            return False
        old = before.of(subscriber.owner) if before else None
        subjects, patterns = self._router.subscriptions(subscriber)
        lost = [
            subject
            for subject in subjects
            if not now.may_hear(subject) and (old is None or old.may_hear(subject))
        ]
        same = EVERYTHING in now.heard or (old is not None and set(old.heard) <= set(now.heard))
        narrowed = [] if same else patterns
        if lost or narrowed:
            subscriber.notify({"kind": "rule", "subjects": lost, "patterns": narrowed})
        return bool(lost or narrowed)
