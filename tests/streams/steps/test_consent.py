"""What may be kept, by what people said and what the site decided."""

import pytest

from schemas.drops import DropReason
from schemas.event import Event, Flag
from streams.columns.batch import CleanBatch
from tests.schemas.signals.strings import AFTER_DISCLOSED, tc_core
from tests.streams.make import cleaned, page_view, purchase

PERSONAL = ("visitor", "user", "session", "ip_network", "query", "utm_source")


def persons_in(batch: CleanBatch) -> set[str]:
    return {text for name in PERSONAL for text in getattr(batch, name) if text}


def test_with_consent_the_network_and_hashes_are_kept() -> None:
    one = cleaned(page_view())
    assert one.basis == ["consented"]
    assert one.ip_network == ["203.0.113.0"]
    assert len(one.visitor[0]) == 32
    assert one.utm_source == ["news"]


def test_without_consent_only_a_count_remains() -> None:
    batch = cleaned(page_view(consent="consent=none"))
    assert len(batch) == 0
    assert batch.dropped == {DropReason.NO_CONSENT: 1}


def test_an_unknown_choice_keeps_the_event_and_nobody() -> None:
    one = cleaned(page_view(consent=""))
    assert one.basis == ["anonymous"]
    assert persons_in(one) == set()
    assert (one.browser, one.os, one.language) == (["Chrome"], [""], ["de"])
    assert (one.host, one.path, one.referrer_host) == (["shop.example"], ["/shoes"], ["www.google.com"])


def test_a_signal_that_nobody_can_read_gives_less_data() -> None:
    assert cleaned(page_view(consent="consent=all&gdpr_consent=CPx")).basis == ["anonymous"]


def test_gpc_without_a_choice_keeps_nobody_even_where_the_default_grants() -> None:
    grants = 'default_consent = "granted"'
    assert cleaned(page_view(consent="", flags=int(Flag.GPC)), site=grants).basis == ["anonymous"]
    assert cleaned(page_view(consent=""), site=grants).basis == ["consented"]


def test_a_site_may_drop_what_is_unknown() -> None:
    batch = cleaned(page_view(consent=""), site='on_unknown = "drop"')
    assert batch.dropped == {DropReason.NO_CONSENT: 1}


def test_a_contract_event_of_a_backend_is_kept_without_its_person() -> None:
    one = cleaned(purchase(consent="consent=none"), site='contract_events = ["purchase"]')
    assert (one.basis, one.value_e4) == (["contract"], [199_000])
    assert persons_in(one) == set()


def test_a_contract_event_with_a_public_key_is_no_contract_event() -> None:
    forged = purchase(consent="consent=none", trust="public")
    assert cleaned(forged, site='contract_events = ["purchase"]').dropped == {DropReason.NO_CONSENT: 1}


def test_a_site_for_children_keeps_nobody_whatever_was_said() -> None:
    one = cleaned(page_view(), site="child_directed = true")
    assert one.basis == ["anonymous"]
    assert persons_in(one) == set()


def test_a_site_that_is_configured_no_more_keeps_nobody() -> None:
    one = cleaned(page_view(site="gone"))
    assert one.basis == ["anonymous"]
    assert persons_in(one) == set()


def test_properties_that_name_a_person_go_with_the_person() -> None:
    said = '{"plan":"pro","user_name":"Ann","billing":{"city":"Graz"},"IP":"x","usage":3}'
    kept = '{"plan":"pro","billing":{"city":"Graz"},"usage":3}'
    assert cleaned(page_view(consent="", properties=said)).properties == [kept]
    assert "user_name" in cleaned(page_view(properties=said)).properties[0]


def test_properties_deep_inside_that_name_a_person_go_too() -> None:
    said = (
        '{"order":{"customer":{"x":"Ann"},"items":[{"sku":"A","gift_recipient_name":"Bo"},1]},"session_id":7}'
    )
    kept = '{"order":{"items":[{"sku":"A"},1]}}'
    assert cleaned(page_view(consent="", properties=said)).properties == [kept]
    deepest = '{"a":' * 253 + '{"mail":1,"b":"+43 660 1234567"}' + "}" * 253
    assert cleaned(page_view(consent="", properties=deepest)).properties == [
        '{"a":' * 253 + '{"b":"[phone]"}' + "}" * 253
    ]


@pytest.mark.parametrize("said", ['{"ip":"x"}', '{"age":33}', '{"\\u0075ser":"x"}', '{"a":[[{"Zip_IP":1}]]}'])
def test_a_name_that_is_all_of_it_or_escaped_goes_too(said: str) -> None:
    assert "x" not in cleaned(page_view(consent="", properties=said)).properties[0]
    assert not any(
        one in cleaned(page_view(consent="", properties=said)).properties[0] for one in ("33", "IP")
    )


def a_choice(**said: object) -> Event:
    usual = {"name": "consent_choice", "kind": "system", "consent": "consent=none"}
    usual["properties"] = '{"purposes":"necessary"}'
    return page_view(**{**usual, **said})


def test_a_choice_is_kept_as_proof_even_when_it_denies_everything() -> None:
    one = cleaned(a_choice())
    assert (one.basis, one.purposes) == (["contract"], ["necessary"])
    assert one.properties == ['{"purposes":"necessary"}']


def test_a_kept_choice_says_whose_it_is_and_nothing_else_about_a_person() -> None:
    consented = cleaned(page_view())
    assert persons_in(cleaned(a_choice())) == {consented.visitor[0]}


def test_a_choice_on_a_site_for_children_names_nobody() -> None:
    one = cleaned(a_choice(), site="child_directed = true")
    assert one.basis == ["anonymous"]
    assert persons_in(one) == set()


def test_an_event_that_only_calls_itself_a_choice_is_none() -> None:
    batch = cleaned(a_choice(), a_choice(event_id="e2", kind="custom"), a_choice(event_id="e3", name="other"))
    assert batch.event_id == ["e1"]
    assert batch.dropped == {DropReason.NO_CONSENT: 2}


def test_beside_a_choice_a_contract_event_still_names_nobody() -> None:
    order = purchase(visitor_id="visitor-1", consent="consent=none")
    batch = cleaned(a_choice(), order, site='contract_events = ["purchase"]')
    assert [bool(visitor) for visitor in batch.visitor] == [True, False]


def tcf(core: str, name: str = "gdpr_consent") -> str:
    return f"gdpr=1&{name}={core}"


def test_people_who_agreed_by_a_tc_string_are_kept_with_their_purposes() -> None:
    one = cleaned(page_view(consent=tcf(tc_core((1, 3, 4, 8)))))
    assert (one.basis, one.purposes) == (["consented"], ["necessary,measurement,marketing"])
    assert len(one.visitor[0]) == 32


def test_a_refusal_by_a_tc_string_is_a_count() -> None:
    assert cleaned(page_view(consent=tcf(tc_core((2, 3))))).dropped == {DropReason.NO_CONSENT: 1}


def test_a_string_that_does_not_say_whom_the_person_was_shown_is_counted_by_itself() -> None:
    batch = cleaned(page_view(consent=tcf(tc_core(range(1, 12), created=AFTER_DISCLOSED))))
    assert batch.dropped == {DropReason.NO_DISCLOSED_VENDORS: 1}


def test_a_string_in_the_place_of_another_is_read_and_flagged() -> None:
    one = cleaned(page_view(consent=tcf(tc_core((1, 8)), "gpp")))
    assert one.basis == ["consented"]
    assert Flag(one.flags[0]) & Flag.CONSENT_MISPLACED
    assert not Flag(cleaned(page_view(consent=tcf(tc_core((1, 8))))).flags[0]) & Flag.CONSENT_MISPLACED


def test_the_consent_string_itself_is_nowhere_in_the_row() -> None:
    core = tc_core((1, 8))
    one = cleaned(page_view(consent=tcf(core)))
    assert core not in repr(one)
