"""The configuration as a JSON schema, for editors that complete and check TOML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.config.check.models.kinds import KINDS, default_keys
from pyroctl.config.check.models.manager import AlertsTable, ManagerTable, TopTable
from pyroctl.config.check.models.service import ServiceTable
from pyroctl.config.check.validators import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.config.check.models.base import Table

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = {"type": "string", "pattern": r"^\$\{[^}]*\}$"}
"""A string that is one `${…}` may stand for a value of another type."""
BOUNDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum"}
ABOUT = ("description", "default")
"""What stays beside the forms of a value."""


def json_schema() -> dict[str, Any]:
    """Return the schema of a configuration in one file.

    It has keys, types and choices; only `config check` checks what must hold between services.
    """
    definitions: dict[str, Any] = {}
    manager = _table(ManagerTable, definitions)
    kinds = {name: _table(model, definitions) for name, model in KINDS.items()}
    for name, schema in kinds.items():
        schema["properties"]["kind"] = {"const": name}
    services = {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME_PATTERN}$"},
        "additionalProperties": {
            "type": "object",
            "properties": {"kind": {"enum": list(kinds)}},
            "required": ["kind"],
            "allOf": [_if_kind(name, schema) for name, schema in kinds.items()],
        },
    }
    top = _table(TopTable, definitions)
    top["properties"] |= {"manager": manager, "defaults": _defaults(kinds, definitions)}
    top["properties"] |= {"alerts": _table(AlertsTable, definitions), "services": services}
    return {"$schema": DIALECT, "title": "pyroctl.toml", **top, "$defs": definitions}


def _defaults(kinds: Mapping[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of `[defaults]`, in which nothing is required."""

    def table(schema: Mapping[str, Any], model: type[ServiceTable]) -> dict[str, Any]:
        keys = {key: schema["properties"][key] for key in default_keys(model)}
        return {"type": "object", "properties": keys, "additionalProperties": False}

    common = table(_table(ServiceTable, definitions), ServiceTable)
    common["properties"] |= {name: table(kinds[name], model) for name, model in KINDS.items()}
    return common


def _if_kind(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {"kind": {"const": name}}, "required": ["kind"]}, "then": schema}


def _table(model: type[Table], definitions: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = _mended(model.model_json_schema(mode="validation"))
    definitions |= schema.pop("$defs", {})
    return schema


def _mended(schema: Any) -> Any:
    """Add what pydantic can't know: TOML has no null, and text may stand for other values."""
    if isinstance(schema, list):
        return [_mended(item) for item in schema if item != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    mended = {
        BOUNDS.get(key, key): _mended(value)
        for key, value in schema.items()
        if value is not None and not (key == "title" and isinstance(value, str))
    }
    words = mended.get("description")
    forms = mended.pop("anyOf", [])
    if words == '"notify" or table':
        forms.append({"const": "notify"})
    elif words == "string or list of strings":
        forms = [{"type": "string"}, {"type": "array", "items": mended.pop("items")}]
        del mended["type"]
    elif mended.get("type") in {"integer", "number", "boolean"} or "enum" in mended:
        checks = {key: mended.pop(key) for key in list(mended) if key not in ABOUT}
        forms = [checks, REFERENCE]
    if len(forms) == 1:
        return {**forms[0], **mended}
    return {**mended, "anyOf": forms} if forms else mended
