"""An open pixel and a click link of one mail, and the key they are signed with."""

from __future__ import annotations

from dataclasses import replace

from ingest.mail.links import (
    CLICK,
    OPEN,
    MailLink,
    link_key,
)

KEY = link_key(b"\x01" * 32)
OPENED = MailLink(OPEN, "demo", "spring-sale", "r-81f3", 1_763_800_000_000, "all")
CLICKED = replace(OPENED, kind=CLICK, target="https://shop.example/sale?utm_source=mail")
