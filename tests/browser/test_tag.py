"""The tag in a real browser: what it sends, when, and what it does when an answer is lost."""

from __future__ import annotations

import json

from playwright.sync_api import Route, expect

from schemas.event import Flag
from tests.browser.conftest import Shop

BEACONS = 'fairpixel_ingest_hits_total{endpoint="beacon",status="200"}'
QUEUE = "<script>window.fairpixel=window.fairpixel||function(){(fairpixel.q=fairpixel.q||[]).push(arguments)}</script>"


def test_a_page_that_knows_the_choice_sends_its_view_once_and_nothing_else(shop: Shop) -> None:
    page = shop.visit(shop.pages.add("/known", shop.tag(consent="measurement")) + "?utm_source=mail")
    (view,) = shop.await_sent("page_view")
    assert (view.kind, view.source, view.consent) == ("page", "tag", "consent=measurement")
    assert (view.url, view.title) == (page.url, "Shoes")
    assert view.flags & Flag.WEBDRIVER
    (cookie,) = shop.cookies()
    assert (cookie["name"], cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (
        "__Host-fp_shop", True, True, "Lax"
    )  # fmt: skip
    assert cookie["value"].split(".")[0] == view.visitor_id
    assert page.evaluate("[document.cookie, localStorage.length]") == ["", 0]
    assert page.locator("#fairpixel-consent").count() == 0


def test_calls_from_before_the_tag_was_there_are_kept_and_a_purchase_s_id_is_the_order_s(shop: Shop) -> None:
    order = "{id: 'order-7', value: 19.9, currency: 'EUR', props: {coupon: 'mai'}}"
    early = f"<script>fairpixel('event', 'purchase', {order})</script>"
    shop.visit(shop.pages.add("/queue", QUEUE + early + shop.tag(consent="all")))
    sent = {event.name: event for event in shop.await_sent("page_view", "purchase")}
    purchase = sent["purchase"]
    assert (purchase.event_id, purchase.value_e4, purchase.currency) == ("order-7", 199_000, "EUR")
    assert purchase.kind == "purchase"
    assert json.loads(purchase.properties) == {"coupon": "mai"}
    assert purchase.visitor_id == sent["page_view"].visitor_id != ""


def test_engaged_time_and_scroll_depth_go_in_one_beacon_when_the_page_is_left(shop: Shop) -> None:
    tall = '<div style="height:6000px">long</div>'
    page = shop.visit(shop.pages.add("/tall", shop.tag(consent="all"), tall))
    shop.await_sent("page_view")
    beacons = shop.edge.metric(BEACONS)
    page.evaluate("scrollTo(0, 3000)")
    page.wait_for_function("scrollY == 3000")
    page.wait_for_timeout(150)  # time to be engaged in
    page.goto("about:blank")
    left = [event for event in shop.await_sent("page_view", "engagement") if event.name == "engagement"]
    said = json.loads(left[0].properties)
    assert 150 <= said["engaged_ms"] < 8_000
    assert 50 <= said["scroll"] <= 70
    assert left[0].url == shop.pages.origin() + "/tall"
    assert shop.edge.metric(BEACONS) == beacons + 1


def test_a_single_page_application_has_a_view_for_each_of_its_pages(shop: Shop) -> None:
    page = shop.visit(shop.pages.add("/app", shop.tag(consent="all")))
    shop.await_sent("page_view")
    page.evaluate("history.pushState({}, '', '/app/shoes'); document.title = 'One shoe'")
    shop.await_sent("page_view", "engagement", "page_view")
    page.evaluate("history.replaceState({}, '', '/app/shoes#size')")  # a place in the same page
    page.evaluate("history.back()")
    sent = shop.await_sent("page_view", "engagement", "page_view", "engagement", "page_view")
    views = [event for event in sent if event.name == "page_view"]
    origin = shop.pages.origin()
    assert [view.url for view in views] == [f"{origin}/app", f"{origin}/app/shoes", f"{origin}/app"]
    assert [view.referrer for view in views] == ["", f"{origin}/app", f"{origin}/app/shoes"]
    assert views[1].title == "One shoe"
    assert len({event.visitor_id for event in sent}) == 1


def test_outbound_clicks_and_marked_elements_are_events(shop: Shop) -> None:
    body = (
        '<a id=out href="http://elsewhere.localhost:9/path?token=abc">there</a><a id=in href="/app">here</a>'
        '<button data-fp-event="add_to_cart" data-fp-value="5" data-fp-currency="EUR"><b>add</b></button>'
        '<form data-fp-event="signup" onsubmit="return false"><input name=a><button id=go>go</button></form>'
    )
    page = shop.visit(shop.pages.add("/clicks", shop.tag(consent="all"), body))
    shop.await_sent("page_view")
    page.evaluate(
        "document.querySelectorAll('a').forEach(a => a.addEventListener('click', e => e.preventDefault()))"
    )
    for element in ("#in", "#out", "b", "form input", "#go"):
        page.click(element)
    sent = {
        event.name: event for event in shop.await_sent("page_view", "outbound_click", "add_to_cart", "signup")
    }
    assert json.loads(sent["outbound_click"].properties) == {"to": "elsewhere.localhost:9/path"}
    assert (sent["add_to_cart"].value_e4, sent["add_to_cart"].currency) == (50_000, "EUR")


def test_an_event_whose_answer_was_lost_comes_again_as_the_same(shop: Shop) -> None:
    lost: list[str] = []

    def lose_the_first_answer(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.request.post_data or "")
        shop.edge.request("POST", "/b", lost[0].encode(), {"Origin": shop.pages.origin()})
        route.abort()  # the edge has it, the page hears nothing

    shop.context.route("**/b", lose_the_first_answer)
    shop.visit(shop.pages.add("/lost", shop.tag(consent="all")))
    first, again = shop.await_copies(2)
    said = ("event_id", "occurred_at", "url", "referrer", "title", "visitor_id", "properties")
    assert [getattr(first, name) for name in said] == [getattr(again, name) for name in said]
    assert first.visitor_id
    assert first.event_id == json.loads(lost[0])["events"][0]["id"]


def test_a_page_may_wait_for_its_own_dialog_or_send_without_anybody(shop: Shop) -> None:
    page = shop.visit(shop.pages.add("/manual", shop.tag(consent="manual")))
    page.wait_for_function("!!window.fairpixel")
    page.evaluate("fairpixel('event', 'seen_early')")
    page.wait_for_timeout(100)
    assert shop.watched.requests == []
    page.evaluate("fairpixel('consent', 'none'); fairpixel('event', 'refused')")
    page.evaluate("fairpixel('consent', 'all'); fairpixel('event', 'agreed')")
    shop.await_sent("page_view", "agreed")
    shop.visit(shop.pages.add("/anonymous", shop.tag(consent="anonymous")))
    last = [
        event
        for event in shop.await_sent("page_view", "agreed", "engagement", "page_view")
        if not event.consent
    ]
    assert [event.visitor_id for event in last] == [""]


def test_an_opt_out_of_the_browser_is_seen(shop: Shop) -> None:
    shop.page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    shop.visit(shop.pages.add("/gpc", shop.tag(consent="anonymous")))
    (view,) = shop.await_sent("page_view")
    assert view.flags & Flag.GPC
    assert (view.visitor_id, shop.cookies()) == ("", [])


def test_a_visitor_is_followed_to_another_domain_over_a_link_and_only_once(shop: Shop) -> None:
    there = shop.pages.origin("blog.localhost") + "/blog"
    body = f'<a href="{there}?a=1#part">our blog</a>'
    linked = {"consent": "all", "linked": "blog.localhost,shop.localhost"}
    page = shop.visit(shop.pages.add("/from", shop.tag(**linked), body))
    shop.pages.add("/blog", shop.tag("blog.localhost", **linked))
    shop.await_sent("page_view")
    with page.expect_response("**/v1/link"):
        page.hover("a")
    page.wait_for_timeout(50)  # the script reads the answer
    with page.expect_request(lambda request: "_fp=" in request.url) as asked:
        page.click("a")
    page.wait_for_url("**/blog?a=1#part")  # the token is gone from the address
    sent = shop.await_sent("page_view", "engagement", "outbound_click", "page_view")
    assert len({event.visitor_id for event in sent}) == 1
    assert all("_fp" not in event.url + event.referrer + event.properties for event in sent)
    assert {cookie["domain"] for cookie in shop.cookies()} == {"edge.shop.localhost", "edge.blog.localhost"}
    other = shop.context.browser.new_context()  # type: ignore[union-attr]  # somebody else gets hold of the address
    other.new_page().goto(asked.value.url)
    names = ("page_view", "engagement", "outbound_click", "page_view", "page_view")
    assert len({event.visitor_id for event in shop.await_sent(*names)}) == 2
    other.close()


def test_the_page_is_as_fast_as_without_the_tag_while_the_edge_is_away(shop: Shop) -> None:
    shop.context.route("**/t.js", lambda route: route.abort())
    page = shop.visit(shop.pages.add("/away", QUEUE + shop.tag(consent="all")))
    expect(page.locator("h1")).to_be_visible()
    page.evaluate("fairpixel('event', 'a')")  # no error in the page
