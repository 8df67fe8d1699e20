"""The rows of the decision table: what each means, and what a person or a site would have to change."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """For people: docs/consent.md has them all, `fairpixel consent explain` the one that decided."""

    measurement: str  # granted, unknown or denied
    meaning: str
    change: str  # what would lead to more


_DENIES = "nothing: the person said no; only they can say yes"
_UNREADABLE = "send it whole and unchanged; while it cannot be read it grants nothing"
_OPTED_OUT = "a choice on the event that grants measurement"

ROWS: dict[str, Row] = {
    "choice_denies": Row("denied", "`consent` is a choice without `measurement`", _DENIES),
    "tcf_denies": Row(
        "denied",
        "the TC string has no consent to purpose 1 and the purposes that measurement needs",
        "consent to purposes 1 and 8, or another `tcf_measurement_purposes` of the site",
    ),
    "tcf_vendor_not_disclosed": Row(
        "denied",
        "the TC string was made without showing the site's vendor to the person",
        "add the vendor to the consent platform, so that people are asked",
    ),
    "tcf_without_disclosed_vendors": Row(
        "denied",
        "a TC string made since 1 March 2026 that does not say whom the person was shown",
        'a consent platform that writes TCF 2.3, or `tcf_missing_disclosed = "accept"`',
    ),
    "canada_denies": Row(
        "denied",
        "the Canadian section of the GPP string has no consent to what measurement needs",
        "express consent to purposes 1 and 8",
    ),
    "canada_vendor_not_disclosed": Row(
        "denied",
        "the Canadian section was made without showing the site's vendor to the person",
        "add the vendor to the consent platform, so that people are asked",
    ),
    "gcs_denies": Row("denied", "`gcs` denies storage for analytics", _DENIES),
    "gcd_denies": Row("denied", "`gcd` denies storage for analytics", _DENIES),
    "us_opt_out": Row(
        "denied",
        "a US section or `us_privacy` objects, and the site has `opt_out_denies_measurement`",
        "`opt_out_denies_measurement = false`: then it takes marketing and personalisation alone",
    ),
    "signal_not_understood": Row(
        "unknown",
        "`consent` has a word that is no purpose, or a signal has no known name",
        "use the words of docs/consent.md",
    ),
    "tc_string_unreadable": Row("unknown", "`gdpr_consent` is no whole TC string of version 2", _UNREADABLE),
    "gdpr_without_tc_string": Row(
        "unknown", "`gdpr=1` and no TC string that can be read", "send the TC string as `gdpr_consent`, or as `gpp`"
    ),
    "gdpr_unreadable": Row("unknown", "`gdpr` is neither 0 nor 1", "send 0 or 1"),
    "gpp_unreadable": Row("unknown", "`gpp` is no whole GPP string", _UNREADABLE),
    "gpp_section_unreadable": Row(
        "unknown", "a section of the GPP string is cut, or of no known kind or version", _UNREADABLE
    ),
    "gpp_section_missing": Row(
        "unknown",
        "`gpp_sid` names a section that the GPP string does not have",
        "send the section, or the right `gpp_sid`",
    ),
    "gpp_sid_unreadable": Row("unknown", "`gpp_sid` is no list of section ids", "send ids separated by commas"),
    "us_privacy_unreadable": Row("unknown", "`us_privacy` is not `1` and three of Y, N and -", _UNREADABLE),
    "gcs_unreadable": Row("unknown", "`gcs` says nothing of analytics, or is not G1 and two digits", _UNREADABLE),
    "gcd_unreadable": Row("unknown", "`gcd` has a letter or a form that is not known", _UNREADABLE),
    "categories_unclear": Row(
        "unknown", "categories of another system whose names are not well known", "send `consent` with purposes"
    ),
    "child_directed": Row("unknown", "granted, on a site for children", "nothing: no choice lifts it"),
    "choice_grants": Row("granted", "`consent` is a choice with `measurement`", ""),
    "tcf_grants": Row("granted", "the TC string has consent to all that measurement needs", ""),
    "canada_grants": Row("granted", "the Canadian section has consent to all that measurement needs", ""),
    "gcs_grants": Row("granted", "`gcs` grants storage for analytics", ""),
    "gcd_grants": Row("granted", "`gcd` grants storage for analytics", ""),
    "default_denies": Row("denied", "no choice, and the site's default is `denied`", "a choice of the person"),
    "opt_out_denies": Row(
        "denied", "no choice, GPC or DNT or a US opt-out, and `opt_out_denies_measurement`", _OPTED_OUT
    ),
    "opt_out": Row("unknown", "no choice, GPC or DNT or a US opt-out", _OPTED_OUT),
    "default_grants": Row("granted", "no choice, and the site's default is `granted`", ""),
    "default_unknown": Row("unknown", "no choice, and the site's default is `unknown`", "a choice of the person"),
}  # fmt: skip
