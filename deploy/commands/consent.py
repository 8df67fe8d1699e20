"""`fairpixel consent explain`: what consent signals decide, which of them decided, and what would lead to more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import UserError

if TYPE_CHECKING:
    from runtime.config import Config
    from schemas.consent import ConsentPolicy
    from schemas.signals.purposes import Statement

app = typer.Typer(no_args_is_help=True, help="What consent signals decide.")


@app.callback()
def _group() -> None:
    """So that `explain` has to be named even while it stands alone."""


@app.command()
def explain(
    request: Annotated[
        str,
        typer.Argument(
            help="an address with its query, a query such as 'gdpr=1&gdpr_consent=...', or a JSON event"
        ),
    ],
    site: Annotated[
        str, typer.Option(help="whose policy decides; by default the site of the key in it")
    ] = "",
    gpc: Annotated[bool, typer.Option("--gpc", help="as if Sec-GPC: 1 or DNT: 1 came with it")] = False,
    secret: Annotated[bool, typer.Option("--secret", help="as if it came with the secret key")] = False,
) -> None:
    """Decide one request as the platform would, without sending it."""
    from deploy.commands._files import read_files
    from ingest.reading.fields import Unacceptable, parse_signals
    from schemas.consent import decide, list_signals
    from schemas.signals.rows import ROWS

    fields = _fields(request)
    _, config, _ = read_files()
    name = _find_site(config, site, fields)
    rules = config.sites[name]
    policy = rules.consent_policy(rules.server_consent if secret else rules.default_consent)
    try:
        signals = parse_signals(fields)
    except Unacceptable as problem:
        raise UserError(problem.rejection.message, problem.rejection.detail) from None
    decision = decide(signals, gpc, policy)
    row = ROWS[decision.row]
    kept = f"kept as {decision.basis}" if decision.basis else "not kept: a count and nothing else"
    print(f"Site {name}: measurement is {row.measurement}; {kept}.")
    if decision.purposes:
        print(f"Purposes: {', '.join(decision.purposes)}.")
    print(f"Decided by {decision.row}: {row.meaning}.")
    if row.change:
        print(f"What would lead to more: {row.change}.")
    if decision.is_misplaced:
        print(
            "Noticed: a TC string stands where a GPP string belongs, or the other way round. It was read as what it is."
        )
    for line in _list(list_signals(signals, policy), policy, gpc=gpc):
        print(line)


def _fields(request: str) -> dict[str, Any]:
    """What the request says, by name. Raises UserError."""
    import orjson

    from ingest.reading.pixel import parse_query

    if request.lstrip().startswith("{"):
        try:
            found: dict[str, Any] = orjson.loads(request)
        except orjson.JSONDecodeError as error:
            raise UserError(f"This is no JSON: {error}.", "Give one event as a JSON object.") from None
        return found
    query = request.partition("?")[2] if "?" in request else request
    fields: dict[str, Any] = parse_query(query.partition("#")[0].encode())
    if not any(fields.values()):
        raise UserError(
            "There are no signals in it.",
            "Give an address with its query, or a query such as 'gdpr=1&gdpr_consent=...', in single quotes.",
        )
    return fields


def _find_site(config: Config, site: str, fields: dict[str, Any]) -> str:
    key = str(fields.get("k", ""))
    if not site:
        site = next((name for name, one in config.sites.items() if key in (one.public_keys or (name,))), "")
    if not site and len(config.sites) == 1:
        (site,) = config.sites
    if site not in config.sites:
        asked = f"There is no site {site!r}." if site else "It is not clear which site decides."
        raise UserError(asked, f"Pass --site NAME. Sites: {', '.join(config.sites) or 'none'}.")
    return site


def _list(statements: list[Statement], policy: ConsentPolicy, *, gpc: bool) -> Iterator[str]:
    for one in statements:
        parts = [
            *([f"grants {', '.join(sorted(one.granted))}"] if one.granted else []),
            *([f"denies {', '.join(sorted(one.denied))}"] if one.denied else []),
            *(["cannot be read, so nothing is granted beside it"] if one.is_unclear else []),
        ]
        yield f"  signal {one.row}: {'; '.join(parts) or 'objects to nothing'}"
    if gpc:
        yield "  signal GPC or DNT: denies marketing, personalisation; without a choice it denies more"
    yield f"  default of the site: {policy.default}"
