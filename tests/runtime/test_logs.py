"""Logs are JSON lines without people in them, from libraries too."""

import json
import subprocess
import sys

SAYS = """
import logging
from runtime.logs import configure_logs, get_logger
configure_logs("ingest")
get_logger().info("batch_cleaned", rows_in=512)
for _ in range(50):
    logging.getLogger("client").warning('a "quoted" trouble')
try:
    int("visitor-0123456789abcdef")
except ValueError:
    get_logger().error("broken", exc_info=True)
    logging.getLogger("client").exception("failed")
logging.getLogger("client").info("chatter")
"""


def entries() -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-c", SAYS], capture_output=True, text=True, check=True, timeout=30
    )
    assert "visitor-0123456789abcdef" not in done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_is_json_and_libraries_do_not_repeat_themselves() -> None:
    said = [(one["event"], one["level"], one["program"]) for one in entries()]
    assert said == [
        ("batch_cleaned", "info", "ingest"),
        ('a "quoted" trouble', "warning", "ingest"),
        ("broken", "error", "ingest"),
        ("failed", "error", "ingest"),
    ]


def test_an_exception_is_named_by_type_and_place_and_its_text_is_not_repeated() -> None:
    broken = next(one for one in entries() if one["event"] == "broken")
    assert broken["exception"] == "ValueError"
    assert str(broken["where"]).startswith("<string>:")
