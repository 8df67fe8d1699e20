"""What a refusal by the embedded ClickHouse looks like, and the mark that no answer may hold."""

from __future__ import annotations

from tests.embedded.clickhouse.conftest import Answer

MARK = "the-keys-of-the-ring"
REFUSALS = ("497", "164", "452")


def code(answer: Answer) -> str:
    return answer.headers.get("X-ClickHouse-Exception-Code", "")


def assert_refused(answer: Answer, codes: tuple[str, ...] = REFUSALS) -> None:
    assert MARK not in answer.text
    assert answer.status != 200, answer.text
    assert code(answer) in codes, answer.text
