"""`python -m pyroctl.web.openapi` prints the API as OpenAPI 3.1, made from the table and models.

It is a program, since pydantic would take a quarter of the page's memory for good.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"

if TYPE_CHECKING:
    from pyroctl.web.api.call import Endpoint

REFERENCE = "#/components/schemas/{model}"


def openapi(url: str = "/") -> dict[str, Any]:
    """Return the description of the API."""
    import pyroctl
    from pyroctl.web.api.table import ALL

    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for endpoint in ALL:
        path = paths.setdefault(endpoint.path, {})
        path[endpoint.method.lower()] = _operation(endpoint, schemas)
    schemes = {
        "token": {"type": "http", "scheme": "bearer", "description": "pyroctl web token"},
        "session": {"type": "apiKey", "in": "cookie", "name": "pyroctl_…"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "pyroctl", "version": pyroctl.__version__},
        "servers": [{"url": url}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": schemes},
        "security": [{"token": []}, {"session": []}],
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    words = (endpoint.handler.__doc__ or "").strip().split("\n\n")
    role = f"Role: {endpoint.role}." if endpoint.role else "For everybody."
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    parameters = [{"name": n, "in": "path", "required": True} for n in names]
    parameters += [{"name": n, "in": "query", "required": False} for n in endpoint.query]
    found: dict[str, Any] = {
        "summary": " ".join(words[0].split()),
        "description": "\n\n".join([*words[1:], role]),
        "parameters": [{**each, "schema": {"type": "string"}} for each in parameters],
        "responses": {
            "200": {"description": "The answer.", "content": _answer(endpoint, schemas)},
            "default": {"description": "A refusal, in the same envelope with `errors`."},
        },
    }
    if endpoint.body is not None:
        schema = _schema(endpoint.body, schemas)
        found["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    if not endpoint.role:
        found["security"] = []
    return found


def _answer(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    if endpoint.media is not None:
        return {endpoint.media: {"schema": {"type": "string"}}}
    data = {} if endpoint.answer is None else _schema(endpoint.answer, schemas)
    properties = {
        "pyroctl": {"const": 1},
        "command": {"type": "array", "items": {"type": "string"}},
        "status": {"enum": ["success", "partial", "error"]},
        "exit_code": {"type": "integer"},
        "data": data,
        "errors": {"type": "array", "items": {"type": "object"}},
    }
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"application/json": {"schema": schema}}


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        config = ConfigDict(use_attribute_docstrings=True)
        adapter: TypeAdapter[Any] = TypeAdapter(kind, config=config)
    except PydanticUserError:  # the type has a configuration of its own
        adapter = TypeAdapter(kind)
    schema: dict[str, Any] = adapter.json_schema(ref_template=REFERENCE)
    schemas |= schema.pop("$defs", {})
    return schema


if __name__ == "__main__":
    json.dump(openapi(), sys.stdout)
