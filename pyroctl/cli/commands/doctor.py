"""`pyroctl doctor`: what is wrong with a deployment, or will be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyroctl.cli import command as cli
from pyroctl.cli.output import Result
from pyroctl.errors import EXIT_FAILED, EXIT_OK, PyroctlError

if TYPE_CHECKING:
    from pyroctl.cli.app import App
    from pyroctl.doctor.report import Found


@cli.command("doctor")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "nagios", "prometheus"]),
    default="text",
    show_default=True,
    help="How to print the findings.",
)
@click.option(
    "--bundle", metavar="FILE", help="Also write FILE.tar.gz with what a helper needs to know."
)
def command(app: App, *, form: str, bundle: str | None) -> Result:
    """Look for what is wrong, or will be, each with its place and a remedy.

    It only reads, takes at most 5 seconds, and works without a manager and with a faulty
    configuration. The exit status is 1 if there is a problem; warnings and notes are none.
    """
    from pyroctl.doctor import report
    from pyroctl.doctor.checks.all import run
    from pyroctl.doctor.finding import Level
    from pyroctl.doctor.gather.everything import gather

    facts = gather(app.paths, app.config, app.root)
    found = list(run(facts))
    data = report.plain(found, facts)
    if form == "text":
        for line in report.text(found, facts):
            app.output.print(app.output.suggest(line))
    else:
        for line in [report.nagios(found)] if form == "nagios" else report.prometheus(found):
            app.output.print(line)
    if bundle is not None:
        from pyroctl.doctor.bundle import write

        try:
            data["bundle"] = write(bundle, facts, data, app.paths)
        except OSError as error:
            raise PyroctlError(f"{bundle} can't be written: {error.strerror}") from error
        app.output.progress(f"{bundle} is written; values of env are masked, logs are not")
    code = EXIT_FAILED if report.worst(found) is Level.PROBLEM else EXIT_OK
    return Result(data, _errors(found), code) if app.output.json else Result(data, exit_code=code)


def _errors(found: Found) -> list[dict[str, object]]:
    """Return the problems as errors of the envelope."""
    return [
        {
            "code": f"doctor-{check.number}",
            "message": each.text,
            "hint": each.remedy,
            "service": each.service,
            "file": None,
            "line": None,
        }
        for check, findings in found
        for each in findings
        if each.level.name == "PROBLEM"
    ]
