"""`fairpixel mail-link`: makes the signed links of a mail, for one recipient or for a list of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands._files import read_files
from runtime.errors import UserError

if TYPE_CHECKING:
    from runtime.config import Site

app = typer.Typer(no_args_is_help=True, help="Signed open pixels and click links for mails.")

Message = Annotated[str, typer.Option(help="your name of the mailing, such as spring-sale")]
Recipient = Annotated[str, typer.Option(help="your own id of the recipient; never an address")]
Recipients = Annotated[
    Path | None,
    typer.Option(help="a file with an id a line, - for standard input; prints id, tab, link for each"),
]
SiteName = Annotated[str, typer.Option(help="the site the mail belongs to")]
SentAt = Annotated[
    str, typer.Option(help="when the mail leaves: ms since 1970 or ISO 8601; now if not given")
]
Consent = Annotated[
    str,
    typer.Option(help="what the recipient agreed to: all, none, or purposes by comma; unknown if not given"),
]
Base = Annotated[str, typer.Option(help="the edge's public address, such as https://events.shop.example")]


@app.callback()
def _mail_link() -> None:
    """Signed open pixels and click links for mails."""


@app.command("open")
def open_(
    message: Message,
    recipient: Recipient = "",
    recipients: Recipients = None,
    site: SiteName = "demo",
    sent_at: SentAt = "",
    consent: Consent = "",
    base: Base = "",
) -> None:
    """Print the address of the open pixel: put it into the mail as <img src="...">."""
    _print_links("o", message, recipient, recipients, site, sent_at, consent, base, "", signed=False)


@app.command()
def click(
    target: Annotated[str, typer.Argument(help="where the link leads, such as https://shop.example/sale")],
    message: Message,
    recipient: Recipient = "",
    recipients: Recipients = None,
    site: SiteName = "demo",
    sent_at: SentAt = "",
    consent: Consent = "",
    base: Base = "",
    unsigned: Annotated[
        bool,
        typer.Option(
            "--unsigned", help="leave the target readable as u=; its host must be one of click_hosts"
        ),
    ] = False,
) -> None:
    """Print a link that counts the click and leads to TARGET."""
    _print_links(
        "c", message, recipient, recipients, site, sent_at, consent, base, target, signed=not unsigned
    )


def _print_links(
    kind: str,
    message: str,
    recipient: str,
    recipients: Path | None,
    site: str,
    sent_at: str,
    consent: str,
    base: str,
    target: str,
    *,
    signed: bool,
) -> None:
    from urllib.parse import quote

    from ingest.mail.links import CLICK, LinkError, MailLink, encode_link, safe_target
    from ingest.reading.fields import Unacceptable
    from ingest.reading.times import parse_time

    if bool(recipient) == (recipients is not None):
        raise UserError("It is not clear for whom.", "Give either --recipient ID or --recipients FILE.")
    key, site_rules, edge = _load(site)
    if kind == CLICK and not signed and not safe_target(target, site_rules.click_hosts):
        raise UserError(
            "The edge would refuse this link: its host is not declared.",
            f"Add the host to click_hosts under [sites.{site}] in fairpixel.toml, or leave out --unsigned.",
        )
    try:
        sent_ms = parse_time(sent_at, "--sent-at") or time.time_ns() // 1_000_000
    except Unacceptable as problem:
        raise UserError(problem.rejection.message, problem.rejection.detail) from None
    root = (base or edge).rstrip("/")
    for number, one in enumerate([recipient] if recipients is None else _lines(recipients), start=1):
        try:
            link = MailLink(kind, site, message, one, sent_ms, consent, target if signed else "")
            token = encode_link(link, key)
        except LinkError as error:
            where = f" (recipient {number} of the list)" if recipients is not None else ""
            raise UserError(f"The link cannot be made{where}: {error}.", "Change it and try again.") from None
        address = f"{root}/c/{token}" if kind == CLICK else f"{root}/o/{token}.gif"
        if kind == CLICK and not signed:
            address += "?u=" + quote(target, safe="")
        print(address if recipients is None else f"{one}\t{address}")


def _load(site: str) -> tuple[bytes, Site, str]:
    """(key of links, the site's policy, the edge's address here). Raises UserError."""
    from ingest.mail.links import link_key

    settings, config, secrets = read_files()
    if site not in config.sites:
        raise UserError(f"There is no site {site!r}.", f"Sites: {', '.join(config.sites) or 'none'}.")
    return link_key(secrets.identity_secret), config.sites[site], settings.edge_url


def _lines(path: Path) -> Iterator[str]:
    try:
        with sys.stdin if str(path) == "-" else path.open(encoding="utf-8") as file:
            for line in file:
                if line.strip():
                    yield line.strip()
    except (OSError, UnicodeDecodeError):
        raise UserError(
            f"{path} cannot be read as text.", "Name a file in UTF-8 with an id a line."
        ) from None
