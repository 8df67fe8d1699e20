"""Checks of the commands on docs/consent.md."""

from __future__ import annotations

from tests.docs.checks import checks
from tests.docs.terminal import Terminal

AGREED = "CQtAQoAQtAQoAEsAAAENB4FAAP_gAAAAAAYgAEEUAAAAAA.IAEEUA"


@checks(f"fairpixel consent explain 'k=demo&gdpr=1&gdpr_consent={AGREED}'")
def says_what_decides(terminal: Terminal, command: str) -> None:
    text = terminal.run(command)
    assert "measurement is granted; kept as consented." in text
    assert "Decided by tcf_grants: " in text
