"""Consent strings made by the IAB's own libraries: each is read as the library that made it reads it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemas.consent import Basis, ConsentPolicy, Purpose, decide, encode_signals
from schemas.signals.canada import read_canada
from schemas.signals.gpp import read_gpp
from schemas.signals.purposes import SignalPolicy
from schemas.signals.tcf import DISCLOSED_SINCE, TcString, judge_tcf, mask, read_tc_string
from schemas.signals.us import CORES, judge_us_section, read_us_section
from schemas.signals.vendors import Vendors
from tests.sdks.environments import node_modules_with_sdks

COUNT = 350  # of each library: 1,050 strings
SEED = "7"
VENDORS = range(1, 901)
# Of a US section, our field and the library's.
US_FIELDS = {
    "sale_opt_out": "SaleOptOut", "sharing_opt_out": "SharingOptOut",
    "targeted_advertising_opt_out": "TargetedAdvertisingOptOut", "sensitive_data": "SensitiveDataProcessing",
    "known_child_consents": "KnownChildSensitiveDataConsents", "personal_data_consents": "PersonalDataConsents",
    "additional_processing_consent": "AdditionalDataProcessingConsent", "mspa_covered": "MspaCoveredTransaction",
}  # fmt: skip
MEASURED, ADVERTISED = {1, 8}, {1, 3, 4}


@pytest.fixture(scope="module")
def made(node: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Strings, with what their libraries read back."""
    modules = node_modules_with_sdks(node.with_name("npm"))
    folder = tmp_path_factory.mktemp("consent-strings")
    shutil.copy(Path(__file__).parent / "drivers" / "consent_strings.mjs", folder)
    (folder / "node_modules").symlink_to(modules)
    command = [str(node), "consent_strings.mjs", SEED, str(COUNT)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(made: list[dict[str, Any]], *libraries: str) -> list[dict[str, Any]]:
    found = [one for one in made if one["library"] in libraries]
    assert len(found) == COUNT * len(libraries)
    return found


def tc_strings(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return of(made, "@iabtcf/core", "@iabtechlabtcf/core")


def members(vendors: Vendors | None) -> list[int]:
    return [one for one in VENDORS if vendors is not None and vendors.has(one)]


def purposes(bits: int) -> list[int]:
    return [one for one in range(1, 25) if bits & mask((one,))]


def flagged(flags: list[bool]) -> list[int]:
    return [number for number, flag in enumerate(flags, 1) if flag]


@pytest.mark.timeout(600)
def test_tc_strings_are_read_as_their_libraries_read_them(made: list[dict[str, Any]]) -> None:
    for one in tc_strings(made):
        read = read_tc_string(one["text"])
        restrictions = sorted([r.purpose, r.kind, members(r.vendors)] for r in read.restrictions)
        assert {
            "created": read.created * 100, "purposes": purposes(read.purposes), "interests": purposes(read.interests),
            "vendors": members(read.vendors), "interestVendors": members(read.interest_vendors),
            "disclosed": members(read.disclosed), "restrictions": restrictions,
        } == {name: one[name] for name in one.keys() - {"library", "text", "restrictions"}} | {
            "restrictions": sorted([p, kind, sorted(vendors)] for p, kind, vendors in one["restrictions"])
        }, one["text"]  # fmt: skip


@pytest.mark.timeout(600)
def test_people_who_agreed_are_consented_and_those_who_did_not_are_not(made: list[dict[str, Any]]) -> None:
    """Decided anew from what the library read, for a site without a number on the vendor list."""
    outcomes: Counter[str] = Counter()
    for one in tc_strings(made):
        decision = decide(encode_signals({"gdpr": "1", "gdpr_consent": one["text"]}), False, ConsentPolicy())
        shown = any("I" <= segment[0] <= "P" for segment in one["text"].split(".")[1:])
        agreed = set(one["purposes"]) >= MEASURED and (shown or one["created"] < DISCLOSED_SINCE * 100)
        assert (decision.basis is Basis.CONSENTED) == agreed, one["text"]
        assert (Purpose.MARKETING in decision.purposes) == (agreed and set(one["purposes"]) >= ADVERTISED)
        outcomes[decision.row] += 1
    assert min(outcomes[row] for row in ("tcf_grants", "tcf_denies", "tcf_without_disclosed_vendors")) > 50


@pytest.mark.timeout(600)
@pytest.mark.parametrize("vendor", [1, 2, 755])
def test_vendors_and_restrictions_count_for_a_site_with_a_number(
    made: list[dict[str, Any]], vendor: int
) -> None:
    policy = SignalPolicy(
        tcf_vendor_id=vendor, tcf_accepts_missing_disclosed=True, tcf_legitimate_interest=True
    )
    granting = 0
    for one in tc_strings(made):
        read = read_tc_string(one["text"])
        if read.disclosed is not None and vendor not in one["disclosed"]:
            expected = False
        else:
            kinds = {
                kind for purpose, kind, vendors in one["restrictions"] if purpose == 8 and vendor in vendors
            }
            consent = 8 in one["purposes"] and vendor in one["vendors"] and not kinds & {0, 2}
            interest = 8 in one["interests"] and vendor in one["interestVendors"] and not kinds & {0, 1}
            expected = (consent or interest) and 1 in one["purposes"] and vendor in one["vendors"]
        assert (Purpose.MEASUREMENT in judge_tcf(read, policy).granted) == expected, one["text"]
        granting += expected
    assert granting > 50


@pytest.mark.timeout(600)
def test_gpp_strings_are_read_as_their_library_reads_them(made: list[dict[str, Any]]) -> None:
    seen: Counter[int] = Counter()
    for one in of(made, "@iabgpp/cmpapi"):
        sections = read_gpp(one["text"])
        assert {str(section) for section in sections} == one["sections"].keys()
        for section, text in sections.items():
            _check_section(section, text, one["sections"][str(section)])
            seen[section] += 1
    assert set(seen) == {2, 5, 6, *(section for section, _ in CORES)}


def _check_section(section: int, text: str, back: dict[str, Any]) -> None:
    if section == 2:
        _check_sets(
            read_tc_string(text, in_any_order=True),
            back,
            "PurposeConsents",
            "VendorConsents",
            "VendorsDisclosed",
        )
    elif section == 5:
        _check_sets(
            read_canada(text), back, "PurposesExpressConsent", "VendorExpressConsent", "DisclosedVendors"
        )
    elif section == 6:
        assert text == f"1{back['Notice']}{back['OptOutSale']}{back['LspaCovered']}"
    else:
        fields = read_us_section(section, text)
        for ours, theirs in US_FIELDS.items():
            if ours in fields and theirs in back and not (ours == "sensitive_data" and section >= 25):
                value = back[theirs]
                assert list(fields[ours]) == (value if isinstance(value, list) else [value]), (
                    section,
                    ours,
                    text,
                )
        assert ("gpc" in fields) == bool(back.get("GpcSegmentIncluded", False))
        opted_out = judge_us_section(section, text, SignalPolicy()).is_opt_out
        told = (back.get("SaleOptOut"), back.get("SharingOptOut"), back.get("TargetedAdvertisingOptOut"))
        assert opted_out or 1 not in told, text


def _check_sets(read: TcString, back: dict[str, Any], purpose: str, vendors: str, disclosed: str) -> None:
    assert purposes(read.purposes) == flagged(back[purpose])
    assert members(read.vendors) == back[vendors]
    assert members(read.disclosed) == back[disclosed]
