"""What all models are made of: a strict table, with the keys that core values declare."""

from collections.abc import Callable, Container
from dataclasses import MISSING
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    create_model,
)

from pyroctl.config.check import types
from pyroctl.core.keys import Key, keys_of

PARTIAL = "partial"
"""In the context of a check: other keys of the service may stand elsewhere."""

BOUND_DEFAULTS = {"restart_max_delay"}
"""Keys whose default must be checked, too: another key may exclude it."""


class Table(BaseModel):
    """A table of the configuration: strict, and without unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


T = TypeVar("T", bound=Table)


def declared_by(*tables: Any, forms: Container[str] = ()) -> Callable[[type[T]], type[T]]:
    """Add the keys that core values declare to a model, except for those that it has itself.

    The keys in `forms` may be left out.
    """

    def add(model: type[T]) -> type[T]:
        keys = [key for table in tables for key in keys_of(table)]
        fields = {
            key.name: _field(key, optional=key.optional or key.name in forms)
            for key in keys
            if key.name not in model.model_fields
        }
        make: Any = create_model
        name = model.__name__.removesuffix("Table")  # as the schema calls it
        added: type[T] = make(name, __base__=model, __doc__=model.__doc__, **fields)
        return added

    return add


def _field(key: Key, *, optional: bool) -> tuple[Any, Any]:
    if optional:
        return types.type_of(key) | None, None
    if key.default is MISSING:
        return types.type_of(key), ...
    default: Any = list(key.default) if isinstance(key.default, tuple) else key.default
    return types.type_of(key), Field(default, validate_default=key.name in BOUND_DEFAULTS)
