"""What a subscriber wants, as it wrote it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class SubscriptionSet:
    """Subjects, compared without case, and patterns, compared exactly, in order."""

    def __init__(self) -> None:
        self._subjects: dict[str, str] = {}
        self._patterns: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._subjects or self._patterns)

    @property
    def subjects(self) -> list[str]:
        """The subjects, first spelling first."""
        return list(self._subjects.values())

    @property
    def patterns(self) -> list[str]:
        """The texts of the patterns."""
        return list(self._patterns.values())

    def add(self, subjects: Iterable[str], patterns: Iterable[str]) -> tuple[list[str], list[str]]:
        """Add what is new, and give that."""
        new_subjects = [s for s in dict.fromkeys(subjects) if s.lower() not in self._subjects]
        new_patterns = [p for p in dict.fromkeys(patterns) if p not in self._patterns]
        for subject in new_subjects:
            self._subjects.setdefault(subject.lower(), subject)
        self._patterns.update(zip(new_patterns, new_patterns, strict=True))
        return new_subjects, new_patterns

    def take_back(self, subjects: Iterable[str], patterns: Iterable[str]) -> None:
        """Undo an `add`, given what it gave."""
        for subject in subjects:
            self._subjects.pop(subject.lower(), None)
        for pattern in patterns:
            self._patterns.pop(pattern, None)

    def remove(self, texts: Iterable[str]) -> None:
        """Remove the subjects and the patterns of these texts."""
        for text in texts:
            self._subjects.pop(text.lower(), None)
            self._patterns.pop(text, None)
