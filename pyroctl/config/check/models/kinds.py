"""The kinds of services, each with its model."""

from pyroctl.config.check.models.page import WebTable
from pyroctl.config.check.models.programs import CommandTable, ObjectTable, TaskTable
from pyroctl.config.check.models.servers import EventServiceTable, NameServerTable
from pyroctl.config.check.models.service import ServiceTable
from pyroctl.config.source.defaults import EACH_ITS_OWN
from pyroctl.core.spec import (
    KIND_NAMES,
)

_MODELS = (NameServerTable, EventServiceTable, ObjectTable, CommandTable, TaskTable, WebTable)
KINDS: dict[str, type[ServiceTable]] = dict(zip(KIND_NAMES.values(), _MODELS, strict=True))


def default_keys(model: type[ServiceTable]) -> list[str]:
    """Return the keys that `[defaults]` may have, or its table for a kind: all but its own."""
    own = EACH_ITS_OWN if model is ServiceTable else {"kind"}
    return [key for key in model.model_fields if key not in own]
