"""The notice as a page for people."""

from __future__ import annotations

from html import escape
from typing import Any

from ingest.openapi.html import table, whole_page


def notice_page(notice: dict[str, Any]) -> str:
    """The same as the JSON, in the order in which people ask."""
    site = escape(notice["site"])
    signals, contract = notice["signals"], notice["kept_without_agreement"]
    parts = [
        f"<h1>What {site} keeps of your visit</h1>",
        f"<p>If you say nothing: {escape(notice['if_you_say_nothing'])}.</p>",
        f"<p>If you refuse: {escape(notice['if_you_refuse'])}.</p>",
        "<h2>What is kept</h2>",
        table(
            ("what", "if you agreed", "otherwise"),
            [(one["what"], one["if_you_agreed"], one["otherwise"]) for one in notice["kept"]],
        ),
        "<h2>What for</h2>",
        table(("purpose", "what it is"), notice["purposes"].items()),
        "<h2>Cookies</h2>",
        _cookies(notice["cookies"]),
        "<h2>How long</h2>",
        table(("what", "kept for"), notice["kept_for"].items()),
        f"<h2>Who gets it</h2><p>{escape(notice['who_gets_it'])}.</p>",
        "<h2>How to change your mind</h2>",
        f"<p>{escape(notice['how_to_withdraw'])}. {escape(notice['your_choices'])}.</p>",
        "<ul>" + "".join(f"<li>{escape(one)}.</li>" for one in signals.values()) + "</ul>",
    ]
    if contract["what"]:
        named = ", ".join(f"<code>{escape(name)}</code>" for name in contract["what"])
        parts.append(f"<h2>Kept without your agreement</h2><p>{named}: {escape(contract['why'])}.</p>")
    if notice["contact"]:
        parts.append(f"<h2>Whom to ask</h2><p>{escape(notice['contact'])}</p>")
    return whole_page(f"What {notice['site']} keeps of your visit", "".join(parts))


def _cookies(cookies: list[dict[str, Any]]) -> str:
    if not cookies:
        return "<p>None.</p>"
    rows = [(f"`{one['name']}`", one["what"], one["when"], f"{one['days_at_most']} days") for one in cookies]
    return table(("name", "what it is", "when", "at most"), rows)
