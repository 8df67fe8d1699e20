"""fairpixel.toml: sites, keys, consent policy and alert routes, checked as a whole before any of it is used."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from schemas.consent import ConsentPolicy, Measurement

SITE_NAME = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
QUERY_KEYS_DEFAULT = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "page", "lang")

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]

# no scheme, no port, no path
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+$", max_length=200)]
TcfPurpose = Annotated[int, Field(ge=2, le=24)]  # purpose 1 is needed for everything here


class ConfigError(ValueError):
    """A configuration that cannot be used; its text gives one line and reason each."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(_Section):
    """One tenant: its keys and what it may keep."""

    public_keys: tuple[Name, ...] = Field(
        default=(), description="keys anyone can read from a page; the site's name if none"
    )
    origins: tuple[Name, ...] = Field(default=(), description="web origins that may send; empty: any")
    linked_domains: tuple[Host, ...] = Field(
        default=(), description="hosts between which a visitor is followed over a link, with consent only"
    )
    events_per_second_max: int | None = Field(
        default=None,
        ge=1,
        description="events a second of its public keys together, each edge worker; beyond it 429; absent: no limit",
    )
    secret_events_per_second_max: int | None = Field(
        default=None,
        ge=1,
        description="the same of its secret key and of bodies signed with it; absent: no limit",
    )
    default_consent: Literal["granted", "unknown", "denied"] = Field(
        default="unknown", description="what holds for measurement when nobody said anything"
    )
    server_consent: Literal["granted", "unknown", "denied"] = Field(
        default="unknown", description="the same for events sent with the secret key"
    )
    on_unknown: Literal["anonymous", "drop"] = Field(
        default="anonymous", description="what happens to an event whose consent is unknown"
    )
    opt_out_denies_measurement: bool = Field(default=False, description="GPC and DNT deny measurement too")
    tcf_vendor_id: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="its number on the IAB's Global Vendor List: TC strings must name it; absent: purposes alone count",
    )
    tcf_measurement_purposes: tuple[TcfPurpose, ...] = Field(
        default=(8,), min_length=1, description="purposes of TCF that measurement needs beside purpose 1"
    )
    tcf_marketing_purposes: tuple[TcfPurpose, ...] = Field(
        default=(3, 4), min_length=1, description="the same for marketing"
    )
    tcf_legitimate_interest: bool = Field(
        default=False, description="legitimate interest counts too, where TCF allows one"
    )
    tcf_missing_disclosed: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="TC strings made since 1 March 2026 that do not say whom the person was shown",
    )
    contract_events: tuple[Name, ...] = Field(
        default=(), description="event names kept under contract when sent with the secret key"
    )
    query_keys: tuple[Name, ...] = Field(
        default=QUERY_KEYS_DEFAULT, description="query keys that may be kept"
    )
    bots: Literal["keep", "exclude"] = Field(default="keep", description="keep and mark bots, or drop them")
    retention_days: int | None = Field(
        default=None, ge=1, description="how long rows are kept; absent: no limit"
    )
    child_directed: bool = Field(default=False, description="aggregate only: every event is anonymous")
    privacy_contact: str = Field(
        default="",
        max_length=500,
        description="whom people ask about their data, named in the notice at `/privacy.html`",
    )
    click_hosts: tuple[Name, ...] = Field(
        default=(),
        description="hosts a mail's click may lead to without a signed target; .shop.example: all below",
    )
    sendgrid_public_key: str = Field(
        default="", description="verification key of SendGrid's Event Webhook; empty: closed"
    )

    def consent_policy(self, default: Literal["granted", "unknown", "denied"]) -> ConsentPolicy:
        """How consent is decided for the site's events. default: what holds where nobody said anything."""
        return ConsentPolicy(
            default=Measurement(default),
            drop_unknown=self.on_unknown == "drop",
            child_directed=self.child_directed,
            opt_out_denies_measurement=self.opt_out_denies_measurement,
            tcf_vendor_id=self.tcf_vendor_id or 0,
            tcf_measurement_purposes=self.tcf_measurement_purposes,
            tcf_marketing_purposes=self.tcf_marketing_purposes,
            tcf_legitimate_interest=self.tcf_legitimate_interest,
            tcf_accepts_missing_disclosed=self.tcf_missing_disclosed == "accept",
        )


class Alerts(_Section):
    """Where alerts go."""

    webhook: tuple[str, ...] = Field(default=(), description="addresses that get each alert as JSON")

    @field_validator("webhook", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("webhook")
    @classmethod
    def _http(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not url.startswith(("http://", "https://")):
                raise ValueError("a webhook begins with http:// or https://")
        return value


class Config(_Section):
    """The whole file."""

    sites: dict[Annotated[str, StringConstraints(pattern=SITE_NAME)], Site] = Field(default_factory=dict)
    alerts: Alerts = Alerts()

    @model_validator(mode="after")
    def _keys_name_one_site(self) -> Config:
        owner: dict[str, str] = {}
        for name in self.sites:
            for key in self.public_keys(name):
                if owner.setdefault(key, name) != name:
                    raise ValueError(
                        f'the public key "{key}" stands under two sites, {owner[key]} and {name}'
                    )
        return self

    def public_keys(self, site: str) -> tuple[str, ...]:
        """The public keys of a site: those it declares, else its name."""
        return self.sites[site].public_keys or (site,)


def read_config(path: Path) -> Config:
    """What stands in the file. Raises ConfigError for what cannot be used, OSError for what cannot be read."""
    try:
        return parse_config(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def parse_config(text: str) -> Config:
    """Read the file. Raises ConfigError with a line number and a reason for each mistake."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"fairpixel.toml: not readable as TOML: {error}") from None
    try:
        return Config.model_validate(data)
    except ValidationError as errors:
        lines = [
            f"fairpixel.toml{_line_of(text, error['loc'])}: {_dotted(error['loc'])}: {error['msg']}"
            for error in errors.errors(include_input=False, include_url=False)
        ]
        raise ConfigError("\n".join(lines)) from None


def explain_config() -> Iterator[tuple[str, str, str]]:
    """(key, default, meaning) of every setting in the file, for the documentation."""
    for prefix, model in (("sites.<name>", Site), ("alerts", Alerts)):
        for name, info in model.model_fields.items():
            yield f"{prefix}.{name}", repr(info.default), info.description or ""


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "file"


def _line_of(text: str, location: tuple[int | str, ...]) -> str:
    """`, line N`, where the innermost named part of `location` stands in the text; "" when it does not."""
    table, found = "", None
    parts = [str(part) for part in location if not isinstance(part, int)]
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = stripped.strip("[] ")
            if table == ".".join(parts):
                found = number
        elif "=" in stripped and not stripped.startswith("#"):
            key = stripped.split("=", 1)[0].strip().strip('"')
            full = f"{table}.{key}" if table else key
            if full == ".".join(parts):
                return f", line {number}"
    return f", line {found}" if found else ""
