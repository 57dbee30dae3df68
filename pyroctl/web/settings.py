"""What the manager tells a page at its start: its options, and where the deployment is."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyroctl.core.key_types import TypeName
from pyroctl.core.keys import keys_of
from pyroctl.core.options.page import MetricsLabelsSpec, ProxySpec, WebOptions, WebTlsSpec
from pyroctl.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TABLES: dict[str, Any] = {
    TypeName("Proxy"): ProxySpec,
    TypeName("WebTls"): WebTlsSpec,
    TypeName("MetricsLabels"): MetricsLabelsSpec,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is fixed while a page runs."""

    options: WebOptions
    service: str
    deployment: str
    directory: str
    """Where relative paths of the configuration start."""
    config: str | None
    """The configuration file; None for the built-in deployment."""
    paths: Paths
    own: str
    """The page's private directory, with its control socket."""

    @property
    def root(self) -> str | None:
        """The directory of `--root`, by which commands find the deployment; None without."""
        state, logs = (os.path.dirname(each) for each in (self.paths.state, self.paths.logs))
        return state if state == logs else None

    @property
    def control(self) -> str:
        """The socket of the manager for this page."""
        return os.path.join(self.own, "control.sock")


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings in the arguments, which `pyroctl.kinds` has made."""
    parser = argparse.ArgumentParser("pyroctl.web")
    for key in keys_of(WebOptions):
        parser.add_argument(key.flag, action="append", dest=key.name)
    for place in ("logs", "state", "directory"):
        parser.add_argument(f"--{place}", default="")
    parser.add_argument("--config")
    found = parser.parse_args(arguments)
    values = {
        key.name: _value(key.type, key.value, given)
        for key in keys_of(WebOptions)
        if (given := getattr(found, key.name)) is not None
    }
    return Settings(
        options=WebOptions(**values),
        service=environ.get("PYROCTL_SERVICE", "web"),
        deployment=environ.get("PYROCTL_DEPLOYMENT", ""),
        directory=found.directory,
        config=found.config,
        paths=Paths("", found.state, found.logs),
        own=environ.get("PYROCTL_STATE_DIR", found.state),
    )


def _value(type_name: TypeName, kind: Any, given: list[str]) -> Any:
    if type_name in TABLES:
        table = json.loads(given[0])
        return TABLES[type_name](
            **{name: tuple(v) if isinstance(v, list) else v for name, v in table.items()}
        )
    if type_name == "WebHosts":
        return tuple(given)
    return int(given[0]) if kind is int else given[0]
