"""A site owner pastes one line; a visitor agrees, buys, reads, leaves and changes their mind: rows, and then none."""

from __future__ import annotations

import json
import uuid
from typing import Any

from playwright.sync_api import BrowserContext

from tests.browser.chromium import Pages
from tests.platform import Platform, await_that


def test_a_visit_with_the_tag_becomes_rows_after_the_choice_and_none_after_its_withdrawal(
    platform: Platform, context: BrowserContext
) -> None:
    port, visit = platform.env["FAIRPIXEL_EDGE_PORT"], uuid.uuid4().hex[:12]
    path, order = f"/visit-{visit}", f"order-{visit}"

    def rows() -> list[dict[str, Any]]:
        return platform.query(
            "SELECT event_id, name, kind, source, basis, purposes, visitor, value, currency, properties "
            f"FROM fairpixel.events WHERE path = '{path}' ORDER BY received_at"
        )

    def await_rows(*names: str) -> dict[str, dict[str, Any]]:
        def found() -> dict[str, dict[str, Any]]:
            page.wait_for_timeout(10)
            now = {row["name"]: row for row in rows()}
            return now if now.keys() >= set(names) else {}

        return dict(await_that(found, f"rows of {names}", 30))

    with Pages() as pages:
        head = f'<script async src="http://localhost:{port}/t.js" data-key="demo"></script>'
        pages.add(path, head, '<div style="height:4000px">shoes</div>')
        page = context.new_page()
        page.goto(pages.origin("localhost") + path)
        page.get_by_role("button", name="Accept all").click()
        page.evaluate(f"fairpixel('event', 'purchase', {{id: '{order}', value: 19.9, currency: 'EUR'}})")
        agreed = await_rows("consent_choice", "page_view", "purchase")
        page.evaluate("scrollTo(0, 9000)")
        page.wait_for_function("scrollY > 2000")
        page.wait_for_timeout(50)
        page.reload()
        page.get_by_role("button", name="Privacy choices").wait_for()
        read = await_rows("engagement")["engagement"]
        assert {row["visitor"] for row in agreed.values()} == {read["visitor"]} != {""}
        assert (agreed["page_view"]["basis"], agreed["page_view"]["source"]) == ("consented", "tag")
        purchase = agreed["purchase"]
        assert (purchase["event_id"], float(purchase["value"]), purchase["currency"]) == (order, 19.9, "EUR")
        proof = agreed["consent_choice"]
        assert (proof["kind"], proof["basis"], proof["purposes"]) == ("system", "contract", "necessary")
        assert json.loads(proof["properties"])["purposes"] == "measurement,personalisation,marketing"
        said = json.loads(read["properties"])
        assert said["engaged_ms"] > 0
        assert said["scroll"] == 100

        page.get_by_role("button", name="Privacy choices").click()
        page.get_by_role("button", name="Refuse all").click()
        page.wait_for_function("JSON.parse(localStorage.fairpixel_consent).open == 0")
        assert context.cookies() == []
        page.evaluate("fairpixel('event', 'late')")
        page.goto("about:blank")
    platform.settle()
    assert sorted(row["name"] for row in rows()) == [
        "consent_choice", "consent_choice", "engagement", "page_view", "page_view", "purchase"
    ]  # fmt: skip
