"""The consent dialog in a real browser: nothing before the choice, refusing as easy as agreeing, a way back."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Shop

PURPOSES = ("measurement", "personalisation", "marketing")


def dialog(shop: Shop) -> Locator:
    return shop.page.get_by_role("dialog", name="May we measure how this site is used?")


def button(shop: Shop, name: str) -> Locator:
    return shop.page.get_by_role("button", name=name)


def in_focus(shop: Shop) -> str:
    """Text or id of what has the focus, inside the dialog."""
    return str(
        shop.page.evaluate(
            "(() => { const one = document.activeElement.shadowRoot?.activeElement; return one ? one.id || "
            "one.textContent : '' })()"
        )
    )


def stored(shop: Shop) -> object:
    return shop.page.evaluate("Object.entries(localStorage)")


def asked(shop: Shop, path: str, **attributes: str) -> Locator:
    """A visit to a page with the one line, up to its question."""
    shop.visit(shop.pages.add(path, shop.tag(**attributes)))
    expect(dialog(shop)).to_be_visible()
    return dialog(shop)


def test_nothing_is_sent_or_stored_before_the_choice_and_nothing_after_its_withdrawal(shop: Shop) -> None:
    asked(shop, "/journey")
    shop.page.evaluate("fairpixel('event', 'early')")
    shop.page.wait_for_timeout(200)
    assert (shop.watched.requests, shop.cookies(), stored(shop)) == ([], [], [])
    button(shop, "Accept all").click()
    sent = shop.await_sent("consent_choice", "page_view", "early")
    assert len({event.visitor_id for event in sent}) == 1
    assert sent[0].visitor_id
    (cookie,) = shop.cookies()
    assert cookie["value"].startswith(sent[0].visitor_id)

    button(shop, "Privacy choices").click()
    expect(shop.page.get_by_label("Marketing")).to_be_checked()
    button(shop, "Refuse all").click()
    sent = shop.await_sent("consent_choice", "page_view", "early", "consent_choice")
    proofs = [event for event in sent if event.name == "consent_choice"]
    assert [json.loads(proof.properties)["purposes"] for proof in proofs] == [
        "measurement,personalisation,marketing",
        "necessary",
    ]
    assert proofs[0].visitor_id == proofs[1].visitor_id
    shop.page.wait_for_function("JSON.parse(localStorage.fairpixel_consent).open == 0")
    assert shop.cookies() == []
    before = len(shop.watched.requests)
    next_page = shop.pages.add("/journey/2", shop.tag())
    shop.page.evaluate(f"fairpixel('event', 'late'); history.pushState({{}}, '', '{next_page}')")
    shop.page.reload()
    expect(button(shop, "Privacy choices")).to_be_visible()
    shop.page.wait_for_timeout(200)
    assert len(shop.watched.requests) == before
    assert len(shop.sent()) == 4


def test_a_choice_is_asked_once_and_holds_on_the_next_page(shop: Shop) -> None:
    asked(shop, "/once")
    button(shop, "Accept all").click()
    shop.await_sent("consent_choice", "page_view")
    shop.visit(shop.pages.add("/twice", shop.tag()))
    names = [
        event.name for event in shop.await_sent("consent_choice", "page_view", "engagement", "page_view")
    ]
    assert names.count("consent_choice") == 1
    expect(dialog(shop)).to_be_hidden()


def test_the_keyboard_alone_is_enough_and_stays_inside(shop: Shop) -> None:
    asked(shop, "/keyboard")
    press = shop.page.keyboard.press
    assert in_focus(shop) == "title"
    stops = []
    for _ in range(7):
        press("Tab")
        stops.append(in_focus(shop))
    assert stops == [*PURPOSES, "Refuse all", "Save choice", "Accept all", "measurement"]
    press("Shift+Tab")
    assert in_focus(shop) == "Accept all"
    press("Tab")
    press("Space")  # ticks measurement
    for _ in range(4):
        press("Tab")
    assert in_focus(shop) == "Save choice"
    press("Enter")
    sent = shop.await_sent("consent_choice", "page_view")
    assert {event.consent for event in sent} == {"consent=measurement"}
    expect(dialog(shop)).to_be_hidden()


LONG_WORDS = """<script>fairpixelTexts = {refuse: 'Alle ablehnen', save: 'Auswahl speichern und schließen',
accept: 'Allen Zwecken zustimmen'}</script>"""


@pytest.mark.parametrize("words", ["", LONG_WORDS], ids=["short", "long"])
@pytest.mark.parametrize(("width", "height"), [(320, 568), (360, 740), (1280, 800)])
def test_the_three_answers_are_one_size_in_a_row_or_in_a_column(
    shop: Shop, width: int, height: int, words: str
) -> None:
    shop.page.set_viewport_size({"width": width, "height": height})
    shop.visit(shop.pages.add(f"/sizes-{width}", words + shop.tag()))
    buttons = shop.page.get_by_role("dialog").locator("div button")
    expect(buttons).to_have_count(3)
    assert buttons.first.inner_text().startswith(("Refuse", "Alle"))
    boxes = buttons.evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(({x, y, width, height}) => [x, y, width, height])"
    )
    assert len({(round(box[2], 1), round(box[3], 1)) for box in boxes}) == 1
    assert boxes[0][3] >= 44  # as WCAG 2.2 asks for a target of AAA (2.5.5)
    across, down = {round(box[0]) for box in boxes}, {round(box[1]) for box in boxes}
    assert (len(across), len(down)) == ((1, 3) if width < 500 else (3, 1))
    assert all(box[0] >= 0 and box[0] + box[2] <= width for box in boxes)
    assert all(box[1] >= 0 and box[1] + box[3] <= height for box in boxes), (
        "one answer is in sight before another"
    )
    too_wide = "all => all.some(one => one.scrollWidth > one.clientWidth)"
    assert not buttons.evaluate_all(too_wide)
    assert not shop.page.get_by_role("dialog").evaluate("one => one.scrollWidth > one.clientWidth")


def test_escape_decides_nothing_and_the_question_can_be_opened_again(shop: Shop) -> None:
    asked(shop, "/escape")
    shop.page.keyboard.press("Escape")
    expect(dialog(shop)).to_be_hidden()
    shop.page.wait_for_timeout(100)
    assert (shop.watched.requests, stored(shop)) == ([], [])
    shop.page.evaluate("fairpixelConsent.open()")
    expect(dialog(shop)).to_be_visible()
    button(shop, "Refuse all").click()
    assert [json.loads(event.properties)["by"] for event in shop.await_sent("consent_choice")] == ["dialog"]
    assert shop.cookies() == []


@pytest.mark.parametrize("width", [1280, 360])
def test_refusing_is_as_easy_as_agreeing(shop: Shop, width: int) -> None:
    shop.page.set_viewport_size({"width": width, "height": 740})
    asked(shop, f"/equal-{width}")
    looks = "one => { const css = getComputedStyle(one); return [css.color, css.backgroundColor, css.font] }"
    refuse, accept = button(shop, "Refuse all"), button(shop, "Accept all")
    one, other = refuse.bounding_box(), accept.bounding_box()
    assert one is not None
    assert other is not None
    assert (round(one["width"]), round(one["height"])) == (round(other["width"]), round(other["height"]))
    assert refuse.evaluate(looks) == accept.evaluate(looks)
    assert one["y"] <= other["y"]
    for name in ("Measurement", "Personalisation", "Marketing"):
        expect(shop.page.get_by_label(name)).not_to_be_checked()
    expect(shop.page.get_by_label("Necessary")).to_be_disabled()


def test_where_the_browser_opts_out_one_click_never_agrees_to_more_than_measurement(shop: Shop) -> None:
    shop.page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    asked(shop, "/gpc-dialog")
    assert button(shop, "Accept all").count() == 0
    button(shop, "Accept measurement").click()
    sent = shop.await_sent("consent_choice", "page_view")
    assert {event.consent for event in sent} == {"consent=measurement"}


def test_a_choice_the_edge_did_not_hear_of_is_told_on_the_next_page_under_the_same_id(shop: Shop) -> None:
    tried: list[str] = []
    shop.context.route(
        "**/v1/consent", lambda route: (tried.append(route.request.post_data or ""), route.abort())
    )
    asked(shop, "/unheard")
    button(shop, "Accept all").click()
    shop.await_sent("page_view")
    shop.context.unroute("**/v1/consent")
    shop.page.reload()
    sent = shop.await_sent("page_view", "engagement", "consent_choice", "page_view")
    (proof,) = [event for event in sent if event.name == "consent_choice"]
    assert proof.event_id == json.loads(tried[0])["id"]
    assert len({event.visitor_id for event in sent}) == 1


def test_a_choice_in_another_tab_holds_here_at_once(shop: Shop) -> None:
    asked(shop, "/tab-1")
    button(shop, "Accept all").click()
    shop.await_sent("consent_choice", "page_view")
    other = shop.context.new_page()
    other.goto(shop.pages.origin() + "/tab-1")
    other.get_by_role("button", name="Privacy choices").click()
    other.get_by_role("button", name="Refuse all").click()
    other.wait_for_function("JSON.parse(localStorage.fairpixel_consent).open == 0")
    before = len(shop.sent())
    shop.page.wait_for_timeout(50)
    shop.page.evaluate("fairpixel('event', 'late')")
    shop.page.wait_for_timeout(150)
    assert len(shop.sent()) == before
    assert shop.cookies() == []


def test_words_and_purposes_are_the_site_s_own(shop: Shop) -> None:
    texts = "{title: 'Dürfen wir zählen?', accept: 'Ja', refuse: 'Nein', purposes: ['measurement'], notice: '/privacy'}"
    head = f"<script>fairpixelTexts = {texts}</script>" + shop.tag(link="none")
    shop.visit(shop.pages.add("/words", head))
    expect(shop.page.get_by_role("dialog", name="Dürfen wir zählen?")).to_be_visible()
    expect(shop.page.get_by_role("link", name="Privacy notice")).to_be_visible()
    button(shop, "Ja").click()
    sent = shop.await_sent("consent_choice", "page_view")
    assert {event.consent for event in sent} == {"consent=measurement"}
    assert button(shop, "Privacy choices").count() == 0


def test_new_words_ask_once_more_and_the_same_choice_is_a_proof_of_them(shop: Shop) -> None:
    def head(version: str) -> str:
        return f"<script>fairpixelTexts = {{version: '{version}'}}</script>" + shop.tag()

    shop.visit(shop.pages.add("/words-1", head("1")))
    button(shop, "Accept all").click()
    shop.await_sent("consent_choice", "page_view")
    shop.visit(shop.pages.add("/words-2", head("2")))
    expect(dialog(shop)).to_be_visible()
    button(shop, "Accept all").click()
    sent = shop.await_sent("consent_choice", "page_view", "engagement", "consent_choice", "page_view")
    proofs = [json.loads(event.properties) for event in sent if event.kind == "system"]
    assert [proof["text_version"] for proof in proofs] == ["1", "2"]
    shop.page.reload()
    expect(button(shop, "Privacy choices")).to_be_visible()
    expect(dialog(shop)).not_to_be_visible()


TCF = """<script>
window.__tcfapi = (command, version, callback) => { window.tell = callback; tell(
  {eventStatus: 'cmpuishown', gdprApplies: true, purpose: {consents: {}}}, true) }
</script>"""
GPP = """<script>
window.__gpp = (command, callback) => { window.tell = callback; tell(
  {eventName: 'listenerRegistered', pingData: {signalStatus: 'not ready'}}, true) }
</script>"""
MODE = """<script>
window.dataLayer = []; function gtag() { dataLayer.push(arguments) }
gtag('consent', 'default', {analytics_storage: 'denied', ad_storage: 'denied'})
</script>"""


MODE_WORDS = "<script>fairpixelTexts = {purposes: ['marketing', 'measurement']}</script>"


@pytest.mark.parametrize(
    ("granted", "consent"),
    [("1: true, 5: true, 6: true, 8: true", "measurement"), ("1: true, 3: true, 4: true", "marketing")],
)
def test_what_another_dialog_grants_is_no_other_purpose_whatever_the_site_asks_for(
    shop: Shop, granted: str, consent: str
) -> None:
    listening(shop, "/tcf-some", MODE_WORDS + TCF)
    shop.page.evaluate(
        "tell({eventStatus: 'useractioncomplete', gdprApplies: true, tcString: 'CP',"
        f" purpose: {{consents: {{{granted}}}}}}}, true)"
    )
    shop.page.wait_for_function("!!fairpixelConsent.get()")
    assert shop.page.evaluate("fairpixelConsent.get()") == consent


def listening(shop: Shop, path: str, head: str) -> None:
    """A visit to a page with a dialog of its own, while that one is still asking."""
    shop.visit(shop.pages.add(path, head + shop.tag()))
    shop.page.wait_for_function("!!window.fairpixelConsent")
    shop.page.wait_for_timeout(150)
    assert shop.page.locator("#fairpixel-consent").count() == 0
    assert (shop.watched.requests, stored(shop)) == ([], [])


def test_a_tcf_dialog_of_the_page_is_heard_and_ours_stays_away(shop: Shop) -> None:
    listening(shop, "/tcf", TCF)
    said = "{eventStatus: '%s', gdprApplies: true, tcString: 'CP-of-a-test', purpose: {consents: {%s}}}"
    shop.page.evaluate(f"tell({said % ('useractioncomplete', '1: true, 8: true')}, true)")
    sent = shop.await_sent("consent_choice", "page_view")
    assert {event.consent for event in sent} == {"consent=measurement&gdpr=1&gdpr_consent=CP-of-a-test"}
    shop.page.evaluate(f"tell({said % ('useractioncomplete', '')}, true)")
    shop.page.evaluate("fairpixel('event', 'late')")
    proofs = [
        e for e in shop.await_sent("consent_choice", "page_view", "consent_choice") if e.kind == "system"
    ]
    assert [json.loads(proof.properties)["by"] for proof in proofs] == ["tcf", "tcf"]


def test_a_gpp_dialog_of_the_page_is_heard_and_the_edge_decides(shop: Shop) -> None:
    listening(shop, "/gpp", GPP)
    ping = "{pingData: {signalStatus: 'ready', gppString: 'DBABLA~of-a-test', applicableSections: [7]}}"
    shop.page.evaluate(f"tell({ping}, true)")
    (view,) = shop.await_sent("page_view")
    assert (view.consent, view.visitor_id) == ("gpp=DBABLA~of-a-test&gpp_sid=7", "")


def test_consent_mode_of_the_page_is_heard(shop: Shop) -> None:
    listening(shop, "/mode", MODE)
    shop.page.evaluate("gtag('consent', 'update', {analytics_storage: 'granted'})")
    sent = shop.await_sent("consent_choice", "page_view")
    assert {event.consent for event in sent} == {"consent=measurement"}
    shop.page.evaluate("gtag('consent', 'update', {analytics_storage: 'denied'})")
    shop.await_sent("consent_choice", "page_view", "consent_choice")
    shop.page.wait_for_function("JSON.parse(localStorage.fairpixel_consent).open == 0")
    assert shop.cookies() == []
