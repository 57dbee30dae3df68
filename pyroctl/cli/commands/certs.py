"""`pyroctl certs`: the CA of a site, and the certificates of its servers and clients."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from pyroctl.certs.lifetime import CA_DAYS, DAYS, NEEDS_RENEWAL, State, text
from pyroctl.certs.names import checked_address, checked_host, checked_name
from pyroctl.certs.tokens import SECRET, Token
from pyroctl.cli import command as cli
from pyroctl.cli.durations import seconds
from pyroctl.cli.output import Result, table
from pyroctl.errors import EXIT_DUE, EXIT_FAILED, EXIT_OK, PyroctlError, UsageError
from pyroctl.paths import certs_directory
from pyroctl.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyroctl.certs.authority import Certificate
    from pyroctl.certs.names import Host
    from pyroctl.certs.site import Row, Site
    from pyroctl.cli.app import App

    Function = Callable[..., Result]

HEAD = ("NAME", "KIND", "STATE", "EXPIRES", "FINGERPRINT")
TOKEN_HEAD = ("NAME", "HOSTS", "EXPIRES", "WRONG")
MOST_DAYS = 36500
TTL = "15m"
LONGEST_TTL = timedelta(days=30)
COPY = "copy this directory to the host; key.pem must stay readable by its owner alone"

command = cli.group("certs", "Make and manage the certificates of a site, for TLS.")
force_option = click.option("--force", is_flag=True, help="Replace what exists.")


def _days_option(default: int | None, purpose: str) -> Callable[[Function], Function]:
    days = click.IntRange(1, MOST_DAYS)
    return click.option("--days", type=days, metavar="N", default=default, help=purpose)


@cli.command("init")
@click.argument("site", required=False)
@click.option("--ca-cert", metavar="FILE", help="Take the CA with this certificate.")
@click.option("--ca-key", metavar="FILE", help="The key of that CA.")
@_days_option(None, f"Lifetime of the CA, {CA_DAYS} days by default.")
@force_option
def init(
    app: App,
    site: str | None,
    *,
    ca_cert: str | None,
    ca_key: str | None,
    days: int | None,
    force: bool,
) -> Result:
    """Make the CA of a site.

    SITE is a name for it, by default that of this host. Keep the directory that is printed: whoever
    has the CA's key can make certificates for every name.
    """
    from pyroctl.certs.site import create_site

    if (ca_cert is None) != (ca_key is None):
        raise UsageError("--ca-cert and --ca-key belong together")
    if ca_cert and days:
        raise UsageError("--days is for a new CA, and not for an existing one")
    ca = (ca_cert, ca_key) if ca_cert and ca_key else None
    name = None if site is None else checked_name(site)
    made = create_site(_directory(app), name, _now(), ca, days=days or CA_DAYS, replace=force)
    app.output.verbatim(made.directory)
    following = "next: pyroctl certs server HOST, and pyroctl certs client NAME"
    app.output.progress(app.output.suggest(following))
    return Result({"site": made.clients.site, **_data(made, made.ca)})


@cli.command("server")
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@click.option("--name", metavar="NAME", help="Name in rules and lists; the first HOST by default.")
@_days_option(DAYS, f"Lifetime, {DAYS} days by default.")
@force_option
def server(app: App, hosts: tuple[str, ...], *, name: str | None, days: int, force: bool) -> Result:
    """Make the key and the certificate of a server.

    HOST is each DNS name and address by which clients connect to it. The command prints the
    directory with the files that the server needs.
    """
    checked = [checked_host(host) for host in hosts]
    return _issue(app, checked_name(name or hosts[0]), checked, days, force=force)


@cli.command("client")
@click.argument("name")
@_days_option(DAYS, f"Lifetime, {DAYS} days by default.")
@force_option
def client(app: App, name: str, *, days: int, force: bool) -> Result:
    """Make the key and the certificate of a client.

    The command prints the directory with the files that the client needs.
    """
    return _issue(app, checked_name(name), (), days, force=force)


@cli.command("list")
def list_(app: App) -> Result:
    """List the CA and all certificates.

    The exit status is 3 if one is due: it ends in less than 30 days, has expired, or was issued by
    a CA that was replaced. The fingerprint is the SHA-256 of the public key.
    """
    site, now = _site(app), _now()
    rows = site.rows(now)
    for line in table(HEAD, [_cells(row) for row in rows]):
        app.output.print(line)
    found = [_data(site, row.certificate, row) for row in rows]
    due = any(row.state in NEEDS_RENEWAL for row in rows)
    data = {"site": site.clients.site, "directory": site.directory, "certificates": found}
    return Result(data, exit_code=EXIT_DUE if due else EXIT_OK)


@cli.command("renew")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_days_option(None, "Lifetime, as before by default.")
def renew(app: App, names: tuple[str, ...], *, days: int | None) -> Result:
    """Renew certificates; their keys stay the same.

    Without a NAME, renew those that have passed two thirds of their lifetime, and those of a CA
    that was replaced. The command prints the new certificates.
    """
    site, now = _site(app), _now()
    chosen = [checked_name(name) for name in names] or _renewable(site.rows(now)[1:], now)
    renewed: list[Certificate] = []
    errors: list[dict[str, object]] = []
    for name in chosen:
        try:
            renewed.append(site.renew(name, now, days))
        except PyroctlError as error:
            errors += error.entries()
        else:
            app.output.verbatim(os.path.join(site.folder(name), "cert.pem"))
    if renewed:
        app.output.progress("copy each to its host, with ca.pem if the CA was replaced")
    elif not errors:
        app.output.progress("none has passed two thirds of its lifetime")
    data = {"certificates": [_data(site, one) for one in renewed]}
    code = EXIT_FAILED if errors else EXIT_OK
    return Result(data, errors, code, partial=bool(errors and renewed))


@cli.command("remove")
@click.argument("name")
def remove(app: App, name: str) -> Result:
    """Remove the key of NAME from clients.toml, and delete its files here."""
    _site(app).remove(checked_name(name), _now())
    app.output.progress(f"{name} is removed; copies of clients.toml on other hosts must follow")
    return Result({"name": name})


@cli.command("token")
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("--client", "client_", metavar="NAME", help="For a client of this name.")
@click.option("--name", metavar="NAME", help="Name of the server; the first HOST by default.")
@click.option("--address", metavar="HOST:PORT", help="Where the manager accepts hosts that join.")
@click.option("--ttl", default=TTL, metavar="TIME", help=f"How long it is valid: {TTL} by default.")
@click.option("--list", "list_only", is_flag=True, help="List the tokens that are valid.")
def token(
    app: App,
    hosts: tuple[str, ...],
    *,
    client_: str | None,
    name: str | None,
    address: str | None,
    ttl: str,
    list_only: bool,
) -> Result:
    """Print a string with which another host can get a certificate, once.

    HOST is as for certs server. The key is made by the other host and stays there. The command
    certs remove NAME ends the token.
    """
    site, now = _site(app), _now()
    if list_only:
        return _list_tokens(app, site, now)
    if bool(hosts) == bool(client_) or (client_ and name):
        raise UsageError("give the HOSTs of a server, or --client NAME")
    if address is None:
        raise UsageError("--address HOST:PORT is required")
    checked = tuple(str(checked_host(host)) for host in hosts)
    chosen = checked_name(client_ or name or hosts[0])
    promised = Token(chosen, checked, os.urandom(SECRET), now + _ttl(ttl))
    string = str(site.promise(promised, checked_address(address), now))
    app.output.verbatim(shlex.quote(string))
    app.output.progress(f"valid once, until {text(promised.expires)}; keep it secret")
    return Result({"join": string, **_token_data(promised)})


def _list_tokens(app: App, site: Site, now: datetime) -> Result:
    valid = list(site.tokens().current(now).tokens.values())
    rows = [
        (one.name, " ".join(one.hosts) or "-", text(one.expires), str(one.wrong)) for one in valid
    ]
    if rows:
        for line in table(TOKEN_HEAD, rows):
            app.output.print(line)
    else:
        app.output.progress("there is no valid token")
    return Result({"tokens": [_token_data(one) for one in valid]})


def _token_data(one: Token) -> dict[str, Any]:
    expires = one.expires.isoformat()
    return {"name": one.name, "hosts": list(one.hosts), "expires": expires, "wrong": one.wrong}


def _ttl(given: str) -> timedelta:
    try:
        found = timedelta(seconds=seconds(given))
    except (ValueError, OverflowError):
        found = timedelta()
    if not timedelta(0) < found <= LONGEST_TTL:
        raise UsageError(
            f"--ttl {given!r} is not a duration of at most {LONGEST_TTL.days} days",
            hint="for example 90s, 15m, 2h or 1d",
        )
    return found


def _issue(app: App, name: str, hosts: Sequence[Host], days: int, *, force: bool) -> Result:
    site = _site(app)
    issued = site.issue(name, hosts, _now(), days, replace=force)
    app.output.verbatim(site.folder(name))
    app.output.progress(COPY)
    return Result(_data(site, issued))


def _site(app: App) -> Site:
    from pyroctl.certs.site import Site

    return Site(_directory(app))


def _directory(app: App) -> str:
    return certs_directory(app.root, os.environ)


def _now() -> datetime:
    return datetime.now(UTC)


def _renewable(rows: Sequence[Row], now: datetime) -> list[str]:
    return [
        row.name
        for row in rows
        if row.certificate is not None
        and row.state is not State.NOT_ALLOWED
        and (row.state is State.OTHER_CA or now >= row.certificate.lifetime.renewal)
    ]


def _cells(row: Row) -> list[str]:
    found = row.certificate
    kind, expires = (found.kind, f"{found.lifetime.end:%Y-%m-%d}") if found else ("-", "-")
    return [*map(printable, (row.name, kind, row.state, expires, row.fingerprint))]


def _data(site: Site, found: Certificate | None, row: Row | None = None) -> dict[str, Any]:
    """Return the JSON of a certificate, in a list with its state."""
    state = {"state": row.state, "due": row.state in NEEDS_RENEWAL} if row else {}
    if found is None:
        assert row is not None
        return {"name": row.name, "kind": None, "fingerprint": row.fingerprint, **state}
    is_ca = found is site.ca
    return {
        "name": found.name,
        "kind": found.kind,
        "hosts": [str(host) for host in found.hosts],
        "begins": found.lifetime.begin.isoformat(),
        "expires": found.lifetime.end.isoformat(),
        "fingerprint": found.fingerprint,
        "directory": os.path.join(site.directory, "ca") if is_ca else site.folder(found.name),
        **state,
    }


for subcommand in (init, server, client, list_, renew, remove, token):
    command.add_command(subcommand)
