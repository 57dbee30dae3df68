"""`pyroctl metrics`: what Prometheus reads, on stdout, or pushed as OTLP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result

if TYPE_CHECKING:
    from pyroctl.cli.app import App


@cli.command("metrics")
@click.option(
    "--subscribers", is_flag=True, help="Also show the queues of the subscribers with most."
)
@click.option("--otlp", is_flag=True, help="Push to an OpenTelemetry collector until Ctrl-C.")
@click.option(
    "--interval", default=15.0, show_default=True, metavar="S", help="Seconds between pushes."
)
def command(app: App, *, subscribers: bool, otlp: bool, interval: float) -> Result:
    """Print the numbers of all services in the text format of Prometheus.

    With --otlp, they go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, over HTTP.
    """
    if otlp:
        from pyroctl.otlp import push_until_interrupted

        push_until_interrupted(lambda: _measured(app), interval, app.output.warn)
        return Result()
    from importlib.metadata import version

    from pyroctl.view.metrics.samples import samples
    from pyroctl.view.metrics.text import render

    measured = _measured(app)
    found = _subscribers(app, measured) if subscribers else None
    for line in render(samples(measured, version("Pyro5"), found)).splitlines():
        app.output.print(line)
    return Result(measured)


def _measured(app: App) -> dict[str, Any]:
    data: dict[str, Any] = app.call("measure")["data"]
    return data


def _subscribers(app: App, measured: dict[str, Any]) -> dict[str, Any]:
    names = [row["name"] for row in measured["services"] if row.get("es")]
    return {name: app.call("subscriptions", [name])["data"]["subscriptions"] for name in names}
