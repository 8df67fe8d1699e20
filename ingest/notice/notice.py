"""The notice of one site, as plain values: a pure function of its policy."""

from __future__ import annotations

from typing import Any

from ingest.visitors.cookies import COOKIE_SECONDS_MAX, cookie_name
from runtime.config import Site
from schemas.dictionary.columns import GROUPS
from schemas.topics import CLEAN_RETENTION_MS, RAW_RETENTION_MS

Notice = dict[str, Any]

DAY_S = 86_400
DAY_MS, HOUR_MS = DAY_S * 1_000, 3_600_000

PURPOSES = {
    "necessary": "what the site needs to work, and to count what is counted without a person",
    "measurement": "to see how the site is used",
    "personalisation": "to show what suits you",
    "marketing": "to see which advertising works",
}
SILENCE = {
    "granted": "you are counted as if you had agreed to measurement; you can object at any time",
    "unknown": "nothing of you is kept as a person's",
    "denied": "nothing is kept but a count",
}


def build_notice(name: str, site: Site) -> Notice:
    """What is kept, why, for how long, by which cookie, who gets it, and how to withdraw. Keys are stable."""
    silence = SILENCE[site.default_consent]
    if site.default_consent == "unknown" and site.on_unknown == "drop":
        silence = SILENCE["denied"]
    return {
        "site": name,
        "contact": site.privacy_contact,
        "kept": [
            {
                "what": group.title,
                "if_you_agreed": group.otherwise if site.child_directed else group.agreed,
                "otherwise": group.otherwise,
                "columns": sorted(group.columns),
            }
            for group in GROUPS
        ],
        "purposes": PURPOSES,
        "if_you_say_nothing": CHILDREN if site.child_directed else silence,
        "if_you_refuse": "a count that somebody refused, and nothing else; the cookie is deleted",
        "kept_without_agreement": {
            "what": list(site.contract_events),
            "why": "needed for a contract with you (GDPR, article 6(1)(b)); kept without your person",
        },
        "your_choices": "each choice is kept as proof, with the number made from your cookie (GDPR, article 7(1))",
        "cookies": [] if site.child_directed else [_cookie(name)],
        "kept_for": _times(site),
        "who_gets_it": "nobody but the site and those who run this service for it",
        "signals": {
            "gpc": _objection("Global Privacy Control", site),
            "dnt": _objection("Do Not Track", site),
            "consent_strings": "IAB TCF and GPP, us_privacy and Google consent mode are read and obeyed",
        },
        "how_to_withdraw": "the site's consent button, or any consent signal that refuses; it holds from then on",
    }


CHILDREN = "this site is for children: nothing of anybody is kept as a person's, whatever they choose"


def _cookie(name: str) -> dict[str, Any]:
    return {
        "name": cookie_name(name),
        "what": "a random name of your browser on this site",
        "when": "only after you agreed to measurement",
        "days_at_most": COOKIE_SECONDS_MAX // DAY_S,
    }


def _times(site: Site) -> dict[str, str]:
    days = site.retention_days
    old = f"; events older than {days} days are not taken" if days else ""
    return {
        "sealed before they are decided": f"{RAW_RETENTION_MS // HOUR_MS} hours, readable by the platform alone",
        "between the programs, after the decision": f"{CLEAN_RETENTION_MS // DAY_MS} days",
        "rows": f"until the site deletes them{old}",
        "why an event was not kept": "a week; the counts stay",
    }


def _objection(name: str, site: Site) -> str:
    if site.opt_out_denies_measurement:
        return (
            f"{name} is an objection to everything but the necessary, unless you agreed to measurement here"
        )
    return f"{name} is an objection to marketing and personalisation, and without a choice of yours nobody is named"
