"""The notice of a site says what its policy does, in every policy."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from ingest.notice.notice import build_notice
from ingest.openapi.notice import notice_page
from ingest.visitors.cookies import COOKIE_SECONDS_MAX, cookie_name
from runtime.config import parse_config
from schemas.consent import Purpose
from schemas.dictionary.columns import COLUMNS


def notice(lines: str = "") -> dict[str, Any]:
    return build_notice("shop", parse_config(f"[sites.shop]\n{lines}\n").sites["shop"])


def test_every_column_stands_in_it() -> None:
    assert sorted(column for one in notice()["kept"] for column in one["columns"]) == sorted(COLUMNS)


def test_every_purpose_is_explained() -> None:
    assert list(notice()["purposes"]) == [str(purpose) for purpose in Purpose]


def test_the_cookie_is_the_one_that_is_set() -> None:
    [cookie] = notice()["cookies"]
    assert cookie["name"] == cookie_name("shop")
    assert cookie["days_at_most"] * 86_400 <= COOKIE_SECONDS_MAX


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "nothing of you is kept as a person's"),
        ('on_unknown = "drop"', "nothing is kept but a count"),
        ('default_consent = "denied"', "nothing is kept but a count"),
        ('default_consent = "granted"', "as if you had agreed"),
        ("child_directed = true", "for children"),
        ('child_directed = true\ndefault_consent = "granted"', "for children"),
    ],
)
def test_silence_means_what_the_policy_says(lines: str, said: str) -> None:
    assert said in notice(lines)["if_you_say_nothing"]


def test_a_site_for_children_keeps_nobody_and_has_no_cookie() -> None:
    told = notice("child_directed = true")
    assert told["cookies"] == []
    assert all(one["if_you_agreed"] == one["otherwise"] for one in told["kept"])
    assert next(one for one in told["kept"] if "visitor" in one["columns"])["if_you_agreed"] == "nothing"


def test_it_names_whom_to_ask_what_a_contract_needs_and_what_an_objection_does() -> None:
    told = notice(
        'privacy_contact = "Ann <privacy@shop.example>"\ncontract_events = ["order_shipped"]\n'
        "opt_out_denies_measurement = true\nretention_days = 90"
    )
    assert told["kept_without_agreement"]["what"] == ["order_shipped"]
    assert "90 days" in told["kept_for"]["rows"]
    assert "everything but the necessary" in told["signals"]["gpc"]
    page = notice_page(told)
    assert "order_shipped" in page
    assert "Ann &lt;privacy@shop.example&gt;" in page, "nothing of a configuration is HTML"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("lines", ["", "child_directed = true", 'contract_events = ["a<b"]'])
def test_the_page_says_all_that_the_json_says_to_people(lines: str) -> None:
    told = notice(lines)
    tags = _Tags()
    tags.feed(notice_page(told))
    assert tags.open == []
    for one in told["kept"]:
        assert one["what"] in tags.text
        assert one["otherwise"] in tags.text
    for text in (told["if_you_say_nothing"], told["how_to_withdraw"], *told["kept_for"].values()):
        assert text in tags.text
