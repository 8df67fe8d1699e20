"""Visitors chosen by somebody else: cookies, links and pictures that would have a person be another."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import pytest

from tests.ingest.edges import Edge, StartEdge, ends

SHOP, BLOG = "https://shop.example", "https://blog.example"
CHOSEN = "66" * 16  # the visitor somebody else would have a person be
SITES = """
[sites.demo]
[sites.shop]
origins = ["https://shop.example", "https://blog.example"]
linked_domains = ["shop.example", "blog.example"]
[sites.other]
linked_domains = ["shop.example", "blog.example"]
"""


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge) -> Edge:
    return start_edge(sites=SITES)


def ask(
    edge: Edge, path: str, content: dict[str, Any], cookie: str = "", origin: str = SHOP
) -> tuple[Any, str]:
    """(the answer, the cookie it sets)."""
    headers = {"Origin": origin} | ({"Cookie": cookie} if cookie else {})
    status, answer, sent = edge.request("POST", path, json.dumps(content).encode(), headers)
    assert status == 200, answer
    return json.loads(answer), sent.get("set-cookie", "").partition(";")[0]


def beacon(edge: Edge, page: str, cookie: str = "", origin: str = SHOP, **said: Any) -> str:
    """The cookie after a page view with consent."""
    event = {"event": "page_view", "id": f"view-{page}"}
    content = {"k": "shop", "page": page, "common": {"consent": "all"}, "events": [event], **said}
    return ask(edge, "/b", content, cookie, origin)[1]


def token(edge: Edge, cookie: str, origin: str = SHOP, to: str = "blog.example", key: str = "shop") -> Any:
    return ask(edge, "/v1/link", {"k": key, "to": to}, cookie, origin)[0]["token"]


def visitor_of(cookie: str) -> str:
    return cookie.partition("=")[2].partition(".")[0]


def invented(site: str = "shop", age_s: int = 0) -> str:
    """A cookie of the form that was not signed."""
    since = f"{int(time.time()) - age_s:x}"
    return f"fp_{site}={CHOSEN}.{since}.{since}.nmpa"


def forgeries(real: str) -> dict[str, str]:
    """Cookies whose signature is none, or not of what they say."""
    said, _, signature = real.partition("=")[2].rpartition(".")
    rest = said.partition(".")[2]
    own = hmac.digest(b"", f"shop\0{CHOSEN}.{rest}".encode(), "sha256")[:16]
    return {
        "another visitor": f"__Host-fp_shop={CHOSEN}.{rest}.{signature}",
        "another purpose": f"__Host-fp_shop={said}a.{signature}",
        "another time": f"__Host-fp_shop={said.replace('.', '.1', 1)}.{signature}",
        "another site": f"__Host-fp_other={said}.{signature}",
        "a signature of zeros": f"__Host-fp_shop={CHOSEN}.{rest}.{'A' * 22}",
        "a key of nothing": f"__Host-fp_shop={CHOSEN}.{rest}.{base64.urlsafe_b64encode(own).rstrip(b'=').decode()}",
        "half a signature": f"__Host-fp_shop={CHOSEN}.{rest}.{signature[:11]}",
        "no signature": f"__Host-fp_shop={CHOSEN}.{rest}.",
    }


def test_an_invented_cookie_and_origin_make_no_link(edge: Edge) -> None:
    assert token(edge, invented()) is None
    assert token(edge, invented(age_s=300 * 86_400)) is None
    assert token(edge, f"{invented()}; {invented(age_s=86_400)}") is None


def test_a_cookie_with_a_wrong_signature_makes_no_link_and_names_nobody(edge: Edge, kafka: str) -> None:
    real = beacon(edge, "real")
    start = ends(kafka)
    for what, cookie in forgeries(real).items():
        assert token(edge, cookie, key="other" if cookie.startswith("__Host-fp_other") else "shop") is None, (
            what
        )
        assert visitor_of(beacon(edge, f"forged {what}", cookie)) not in ("", CHOSEN, visitor_of(real)), what
    assert CHOSEN not in {event.visitor_id for event in edge.events(start)}


def test_an_unsigned_cookie_of_the_version_before_names_its_visitor_and_is_never_signed(
    edge: Edge, kafka: str
) -> None:
    start, cookie = ends(kafka), invented(age_s=100)
    assert beacon(edge, "old", cookie) == ""
    changed = beacon(edge, "old, another choice", cookie, common={"consent": "measurement"})
    assert (visitor_of(changed), changed.count(".")) == (CHOSEN, 3)
    again = ask(edge, "/v1/consent", {"k": "shop", "consent": "all", "id": "p-old"}, changed)[1]
    assert (visitor_of(again), again.count(".")) == (CHOSEN, 3)
    for one in (cookie, changed, again):
        assert token(edge, one) is None
    assert {event.visitor_id for event in edge.events(start)} == {CHOSEN}


def test_a_signed_cookie_counts_before_an_invented_one_of_a_neighbour_host(edge: Edge, kafka: str) -> None:
    real = beacon(edge, "mine")
    start = ends(kafka)
    assert beacon(edge, "tossed", f"{invented()}; fp_shop=x; {real}") == ""
    assert [event.visitor_id for event in edge.events(start)] == [visitor_of(real)]


def test_a_neighbour_host_gives_nobody_the_signed_cookie_that_it_was_given(edge: Edge, kafka: str) -> None:
    """A host beside ours sets cookies for all of the domain, under any path and as many as it likes, but none that is
    called __Host-."""
    theirs, real = beacon(edge, "neighbour"), beacon(edge, "person beside it")
    assert real.startswith("__Host-")
    tossed = theirs.removeprefix("__Host-")
    start = ends(kafka)
    for number, cookies in enumerate((f"{tossed}; {real}", "; ".join([invented()] * 9 + [tossed, real]))):
        assert beacon(edge, f"tossed signed {number}", cookies) == ""
    assert {event.visitor_id for event in edge.events(start)} == {visitor_of(real)}
    assert visitor_of(beacon(edge, "tossed alone", tossed)) not in ("", visitor_of(theirs))


def test_a_link_to_the_pixel_neither_ends_a_cookie_nor_speaks_for_its_visitor(edge: Edge, kafka: str) -> None:
    """Browsers send a Lax cookie along when a link of another site is followed."""
    cookie = beacon(edge, "follows links")
    start = ends(kafka)
    for dest, is_ended in (("image", True), ("document", False)):
        headers = {"Cookie": cookie, "Sec-Fetch-Dest": dest}
        _, _, sent = edge.request("GET", "/p.gif?k=shop&consent=none", b"", headers)
        assert ("set-cookie" in sent) == is_ended
        edge.request("GET", f"/p.gif?k=shop&e=bought&id={dest}&consent=all", b"", headers)
    visitors = {event.event_id: event.visitor_id for event in edge.events(start)}
    assert (visitors["image"], visitors["document"]) == (visitor_of(cookie), "")


@pytest.mark.parametrize("at", ["/b", "/v1/consent"])
@pytest.mark.parametrize("cookie", ["signed", "unsigned"])
def test_a_link_never_replaces_a_cookie(edge: Edge, at: str, cookie: str) -> None:
    attacker, name = beacon(edge, f"attacker {at} {cookie}"), f"person {at} {cookie}"
    person = beacon(edge, name) if cookie == "signed" else invented(age_s=100)
    link = token(edge, attacker)
    assert link
    content: dict[str, Any] = {"k": "shop", "page": f"landed {name}", "link": link}
    if at == "/b":
        content |= {"common": {"consent": "measurement"}, "events": [{"event": "page_view", "id": name}]}
    else:
        content |= {"consent": "measurement", "id": name}
    kept = ask(edge, at, content, person, BLOG)[1]
    assert visitor_of(kept) == visitor_of(person)  # set again, as the choice is another
    assert visitor_of(beacon(edge, f"next {name}", kept, BLOG, link=link)) in ("", visitor_of(person))


def test_a_link_that_named_nobody_is_used_up(edge: Edge) -> None:
    attacker, person = beacon(edge, "attacker of one"), beacon(edge, "person of one")
    link = token(edge, attacker)
    beacon(edge, "first page", person, BLOG, link=link)
    newcomer = beacon(edge, "second page", origin=BLOG, link=link)
    assert visitor_of(newcomer) not in ("", visitor_of(attacker))


def test_who_comes_over_a_link_and_chooses_there_is_the_visitor_of_the_link(edge: Edge) -> None:
    before = beacon(edge, "comes from")
    link = token(edge, before)
    said = {"k": "shop", "consent": "all", "id": "p-there", "page": "dialog", "link": link}
    chosen = ask(edge, "/v1/consent", said, origin=BLOG)[1]
    assert visitor_of(chosen) == visitor_of(before)
    assert beacon(edge, "dialog", chosen, BLOG, link=link) == ""


def test_a_link_is_made_between_two_domains_of_the_site_for_its_pages_alone(edge: Edge) -> None:
    cookie = beacon(edge, "between")
    assert token(edge, cookie)
    for origin in ("", "null", "https://evil.example", "https://[", "\xe4", "https://shop.example:99999"):
        assert token(edge, cookie, origin) is None, origin
    assert token(edge, cookie, to="shop.example") is None  # where it is already
    assert token(edge, cookie, key="other") is None
