"""What a deployment wants of a class or a factory."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Wishes(NamedTuple):
    """What the deployment wants of a class or a factory."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})
    instance_mode: str | None = None
    """None: that of the class."""
    expose: bool = False
    """Whether everything public is exposed, whatever the module says."""
