"""`pyroctl certs`: the CA of a site, and the certificates of its servers and clients."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from pyroctl.certs.files import folder
from pyroctl.certs.held import has_ca
from pyroctl.certs.lifetime import CA_DAYS, DAYS, NEEDS_RENEWAL, State, text
from pyroctl.certs.names import checked_host, checked_name
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
MOST_DAYS = 36500
LONGEST_TTL = timedelta(days=7)
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
    return Result({"site": made.clients.site, **_data(made.directory, made.ca)})


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
    """List the CA and all certificates, or on a host that has joined those that it has.

    The exit status is 3 if one is due: it ends in less than 30 days, has expired, or was issued by
    a CA that was replaced. The fingerprint is the SHA-256 of the public key. Tokens that nobody has
    used yet are listed, too.
    """
    from pyroctl.certs.site import Site, held_rows

    directory, now = _directory(app), _now()
    name, tokens = None, []
    if has_ca(directory):
        site = Site(directory)
        rows, name = site.rows(now), site.clients.site
        tokens = list(site.tokens.read().current(now).tokens.values())
    elif not (rows := held_rows(directory, now)):
        Site(directory)  # tells that there is none
    cells = [_cells(row) for row in rows]
    cells += [[token.name, "token", "unused", text(token.expires), ""] for token in tokens]
    for line in table(HEAD, cells):
        app.output.print(line)
    found = [_data(directory, row.certificate, row) for row in rows]
    due = any(row.state in NEEDS_RENEWAL for row in rows)
    data = {"site": name, "directory": directory, "certificates": found}
    data["tokens"] = [
        {"name": one.name, "hosts": list(one.hosts), "expires": one.expires.isoformat()}
        for one in tokens
    ]
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
    data = {"certificates": [_data(site.directory, one) for one in renewed]}
    code = EXIT_FAILED if errors else EXIT_OK
    return Result(data, errors, code, partial=bool(errors and renewed))


@cli.command("token")
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@click.option("--server/--client", default=True, help="What the host becomes, a server by default.")
@click.option("--name", metavar="NAME", help="Name in rules and lists; the first HOST by default.")
@click.option("--ttl", metavar="TIME", default="15m", help="How long it is valid, 15m by default.")
@force_option
def token(
    app: App, hosts: tuple[str, ...], *, server: bool, name: str | None, ttl: str, force: bool
) -> Result:
    """Print a string with which another host gets a certificate: pyroctl join STRING.

    HOST is each name and address of a server; of a client, it is the name. The string is a secret:
    whoever uses it first becomes that host. It works once. The manager here must listen for other
    hosts, see [manager.remote].
    """
    from pyroctl.cli.commands.trust.listener_address import listener_address

    site, now = _site(app), _now()
    chosen = checked_name(name or hosts[0])
    if not server and len(hosts) > 1:
        raise UsageError("a client has one name and no hosts")
    names = tuple(str(checked_host(host)) for host in hosts) if server else ()
    if chosen in site.names() and not force:
        raise PyroctlError(
            f"there is a certificate for {chosen} already",
            hint="--force has the host that joins replace it and its key",
        )
    address = listener_address(app, site)
    expires = now.replace(microsecond=0) + _ttl(ttl)
    promised = Token(chosen, names, os.urandom(SECRET), expires)
    string = site.tokens.promise(promised, address, site.ca.fingerprint, now)
    app.output.verbatim(str(string))
    app.output.progress(f"valid once, until {text(expires)}; on the other host: pyroctl join")
    data = {"name": chosen, "hosts": list(names), "expires": expires.isoformat()}
    return Result({**data, "address": address, "string": str(string)})


@cli.command("remove")
@click.argument("name")
def remove(app: App, name: str) -> Result:
    """Remove the key of NAME from clients.toml, end its token, and delete its files here."""
    _site(app).remove(checked_name(name), _now())
    app.output.progress(f"{name} is removed; copies of clients.toml on other hosts must follow")
    return Result({"name": name})


def _issue(app: App, name: str, hosts: Sequence[Host], days: int, *, force: bool) -> Result:
    site = _site(app)
    issued = site.issue(name, hosts, _now(), days, replace=force)
    app.output.verbatim(site.folder(name))
    app.output.progress(COPY)
    return Result(_data(site.directory, issued))


def _site(app: App) -> Site:
    from pyroctl.certs.site import Site

    return Site(_directory(app))


def _directory(app: App) -> str:
    return certs_directory(app.root, os.environ)


def _now() -> datetime:
    return datetime.now(UTC)


def _ttl(text: str) -> timedelta:
    try:
        found = timedelta(seconds=seconds(text))
    except ValueError as error:
        raise UsageError(str(error), hint="such as 90s, 15m or 2h") from None
    if not timedelta(0) < found <= LONGEST_TTL:
        raise UsageError(f"a token is valid for up to {LONGEST_TTL.days} days")
    return found


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


def _data(directory: str, found: Certificate | None, row: Row | None = None) -> dict[str, Any]:
    """Return the JSON of a certificate, in a list with its state."""
    state = {"state": row.state, "due": row.state in NEEDS_RENEWAL} if row else {}
    if found is None:
        assert row is not None
        return {"name": row.name, "kind": None, "fingerprint": row.fingerprint, **state}
    return {
        "name": found.name,
        "kind": found.kind,
        "hosts": [str(host) for host in found.hosts],
        "begins": found.lifetime.begin.isoformat(),
        "expires": found.lifetime.end.isoformat(),
        "fingerprint": found.fingerprint,
        "directory": os.path.join(directory, "ca")
        if found.kind == "ca"
        else folder(directory, found.name),
        **state,
    }


for subcommand in (init, server, client, list_, renew, token, remove):
    command.add_command(subcommand)
