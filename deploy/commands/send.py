"""`fairpixel send`: sends one event to the edge and prints its answer."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from runtime.errors import UserError

ANSWER_S_MAX = 10.0


def run(
    event: Annotated[
        str, typer.Argument(help="the event's name, such as page_view or purchase")
    ] = "page_view",
    site: Annotated[str, typer.Option(help="the site it belongs to")] = "demo",
    id: Annotated[str, typer.Option(help="its id; the edge makes one where it is missing")] = "",
    visitor: Annotated[str, typer.Option(help="the visitor's first-party identifier")] = "",
    user: Annotated[str, typer.Option(help="the user's identifier")] = "",
    url: Annotated[str, typer.Option(help="the page's address")] = "",
    value: Annotated[float | None, typer.Option(help="an amount of money")] = None,
    currency: Annotated[str, typer.Option(help="its currency, such as EUR")] = "",
    consent: Annotated[str, typer.Option(help="all, none, or purposes by comma")] = "all",
    ts: Annotated[str, typer.Option(help="when it happened: ms since 1970 or ISO 8601")] = "",
    prop: Annotated[
        list[str] | None, typer.Option("--prop", help="a property as name=value; may be given several times")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="send with the site's public key, as a page would")
    ] = False,
) -> None:
    """Send one event, with the site's secret key unless --public is given."""
    given = {
        "event": event, "id": id, "visitor_id": visitor, "user_id": user, "url": url, "value": value,
        "currency": currency, "consent": consent, "ts": ts, "properties": _properties(prop or []),
    }  # fmt: skip
    answer = _post({name: what for name, what in given.items() if what not in ("", None, {})}, site, public)
    print(json.dumps(answer, indent=2))
    for result in answer.get("results", []):
        if result.get("status") == "accepted":
            print(f"Where it went: fairpixel trace {result['id']}")


def _properties(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, what = pair.partition("=")
        if not name or not equals:
            raise UserError("A property cannot be read.", "Give it as --prop name=value.")
        found[name] = what
    return found


def _post(event: dict[str, Any], site: str, public: bool) -> dict[str, Any]:
    import httpx2

    from runtime.config import ConfigError, read_config
    from runtime.secrets import SecretsError, read_secrets
    from runtime.settings import PlatformSettings, SettingError

    try:
        settings = PlatformSettings.from_env(os.environ)
        config = read_config(settings.config_path)
        if site not in config.sites:
            raise UserError(f"There is no site {site!r}.", f"Sites: {', '.join(config.sites) or 'none'}.")
        if public:
            key = config.public_keys(site)[0]
        else:
            key = read_secrets(settings.secrets_path, os.environ).site_secret_keys.get(site, "")
    except OSError as error:
        raise UserError(
            f"{error.filename}: {error.strerror}.", "`fairpixel up` makes it; FAIRPIXEL_DATA says where."
        ) from None
    except (SettingError, ConfigError, SecretsError) as error:
        raise UserError(str(error), "Check with: fairpixel config check") from None
    if not key:
        raise UserError(
            f"The site {site} has no secret key.", "Send with --public, or give it one in secrets.toml."
        )
    try:
        answer = httpx2.post(
            f"{settings.edge_url}/v1/events",
            json=event,
            headers={"Authorization": f"Bearer {key}"},
            timeout=ANSWER_S_MAX,
            verify=False,  # the certificate names the site's host, and this is the edge on this machine
        )
    except httpx2.HTTPError as error:
        raise UserError(
            f"The edge does not answer on {settings.edge_url} ({type(error).__name__}).",
            "Start the platform: fairpixel up",
        ) from None
    try:
        decoded = answer.json()
        if not isinstance(decoded, dict):
            raise ValueError
    except ValueError:
        raise UserError(
            f"What answers on {settings.edge_url} is not the edge: status {answer.status_code}, no JSON.",
            "FAIRPIXEL_EDGE_PORT says where the edge is.",
        ) from None
    if answer.is_error:
        raise UserError(
            f"The edge answered {answer.status_code}: {decoded.get('message', '')}",
            str(decoded.get("detail", "")),
        )
    return decoded
