"""Each command that a page of docs shows is run as it is there, or stands among the exceptions with a reason.

A command that is new on a page fails here until a check of it is written: see tests/docs/checks.py.
"""

from __future__ import annotations

import pytest

from tests.docs import check_consent, check_events, check_logs, check_mail, check_operations  # noqa: F401  # register
from tests.docs.checks import CHECKS, EXCEPTIONS
from tests.docs.shown import (
    OTHERS,
    SHELLS,
    Shown,
    all_commands,
    blocks,
    commands_of,
    pages,
    protocol_requests,
)
from tests.docs.terminal import Terminal
from tests.platform import await_that

SHOWN = all_commands()
RUN_ELSEWHERE = {one.key for one in protocol_requests()}
HERE = [one for one in SHOWN if one.key not in RUN_ELSEWHERE and one.key not in EXCEPTIONS]


@pytest.mark.parametrize("shown", HERE, ids=lambda shown: f"{shown.page}: {shown.key}")
def test_a_command_of_a_page_does_what_the_page_says(shown: Shown, terminal: Terminal) -> None:
    assert shown.key in CHECKS, f"{shown.page} shows it and no test runs it: write a check in tests/docs"
    CHECKS[shown.key](terminal, shown.text)


def test_each_check_and_each_exception_is_of_a_command_that_a_page_shows() -> None:
    keys = {one.key for one in SHOWN}
    assert set(CHECKS) - keys == set()
    assert set(EXCEPTIONS) - keys == set()
    assert set(EXCEPTIONS) & set(CHECKS) == set()
    assert all(reason for reason in EXCEPTIONS.values())


def test_what_a_block_holds_is_known() -> None:
    languages = {(page, language) for page, text in pages().items() for language, _ in blocks(text)}
    assert {one for one in languages if one[1] not in (*SHELLS, *OTHERS)} == set()


def test_the_program_of_a_page_runs(terminal: Terminal) -> None:
    programs = [
        block for text in pages().values() for language, block in blocks(text) if language == "python"
    ]
    assert len(programs) == 1
    terminal.write("producer.py", terminal.here(programs[0]))
    terminal.run(".venv/bin/python producer.py")
    # The row, or a later copy of an order that another page's command has sent.
    copies = "SELECT source FROM fairpixel.{} WHERE event_id = 'order-42' AND source = 'direct'"
    await_that(
        lambda: [
            row for table in ("events", "sightings") for row in terminal.platform.query(copies.format(table))
        ],
        "the program's event",
    )


PAGE = """
Run `make up`, `FAIRPIXEL_DATA=x fairpixel status` or `.venv/bin/fairpixel trace
ID`, but see `fairpixel.toml`.

```
curl http://127.0.0.1:8000/b \\
  -d '{"k": "demo",
       "more": 1}'
.venv/bin/fairpixel logs rejected --show | .venv/bin/fairpixel logs import -
```

```text
no command
```
"""


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    assert [Shown("", text).key for text in commands_of(PAGE)] == [
        """curl http://127.0.0.1:8000/b -d '{"k": "demo", "more": 1}'""",
        "fairpixel logs rejected --show | fairpixel logs import -",
        "make up",
        "FAIRPIXEL_DATA=x fairpixel status",
        "fairpixel trace ID",
    ]


def test_a_command_that_fails_is_noticed(terminal: Terminal) -> None:
    with pytest.raises(AssertionError, match="ended with 2"):
        terminal.run(".venv/bin/fairpixel ledger --sinse 1h")
