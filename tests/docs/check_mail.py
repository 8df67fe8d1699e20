"""Checks of the commands on docs/mail.md."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from tests.docs.checks import checks
from tests.docs.terminal import Terminal

BASE = "https://events.shop.example"
OPEN = "fairpixel mail-link open --message spring-sale"
CLICK = "fairpixel mail-link click https://shop.example/sale --message spring-sale"


def look_at(terminal: Terminal, link: str) -> tuple[int, str]:
    """(status, Location) of a look at a link, whose base stands for this platform's edge; no redirect is followed."""
    connection = http.client.HTTPConnection(urlsplit(terminal.platform.edge).netloc, timeout=15)
    try:
        connection.request("GET", urlsplit(link).path)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Location", "")
    finally:
        connection.close()


@checks(f"{OPEN} --recipient r-81f3 --consent all --base {BASE}")
def makes_an_open_pixel(terminal: Terminal, command: str) -> None:
    link = terminal.run(command).strip()
    assert link.startswith(f"{BASE}/o/")
    assert link.endswith(".gif")
    assert look_at(terminal, link)[0] == 200


@checks(f"{CLICK} --recipient r-81f3 --base {BASE}")
def makes_a_link_that_leads_to_its_target(terminal: Terminal, command: str) -> None:
    link = terminal.run(command).strip()
    assert link.startswith(f"{BASE}/c/")
    assert look_at(terminal, link) == (302, "https://shop.example/sale")


@checks(f"{OPEN} --recipients ids.txt")
def makes_a_link_for_each_id(terminal: Terminal, command: str) -> None:
    terminal.write("ids.txt", "r-1\nr-2\nr-3\n")
    links = dict(line.split("\t") for line in terminal.run(command).splitlines())
    assert list(links) == ["r-1", "r-2", "r-3"]
    assert len(set(links.values())) == 3
    assert {look_at(terminal, link)[0] for link in links.values()} == {200}
