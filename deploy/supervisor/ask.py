"""Ask a program how it does: one HTTP request, or Kafka's metadata; never raises, always within a time limit.

`python -m deploy.supervisor.ask URL` ends with 0 when it is alive, for a container's health check.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from deploy.embedded.kafka_probe import Broker, probe
from runtime.kafka_access import find_login
from runtime.settings import PlatformSettings, SettingError

BODY_SIZE_MAX = 64 * 1024  # bytes read of an answer


class Answer(NamedTuple):
    """What came back."""

    alive: bool  # answered, and not that it is unwell
    ready: bool  # can do its work now
    consumer_lag: int | None  # messages behind, where the program says so
    unwell: bool = False  # works, and says that somebody must look: a restart mends nothing


SILENCE = Answer(False, False, None)

# No proxy: these are addresses of this machine, and HTTP_PROXY must not see or answer them.
# No check of certificates: an edge's certificate names the site's host, and these addresses are this machine's own.
_opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
)


def ask(url: str, timeout_s: float) -> Answer:
    """Ask at `url`: http://..., or kafka://host:port, as the operator."""
    if url.startswith("kafka://"):
        where = urlsplit(url)
        try:
            login = find_login(PlatformSettings.from_env(os.environ), "operator")
        except SettingError:
            return SILENCE
        found = probe(where.hostname or "127.0.0.1", where.port or 0, timeout_s, login)
        return Answer(found is not Broker.AWAY, found is Broker.READY, None)
    try:
        with _opener.open(url, timeout=timeout_s) as response:
            report = _read(response.read(BODY_SIZE_MAX))
            return Answer(True, True, _consumer_lag(report), report.get("status") == "unhealthy")
    except urllib.error.HTTPError as error:
        with error:
            return Answer(False, False, _consumer_lag(_read(error.read(BODY_SIZE_MAX))))
    except (OSError, ValueError):
        return SILENCE


def _read(body: bytes) -> dict[str, Any]:
    try:
        report = json.loads(body)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def _consumer_lag(report: dict[str, Any]) -> int | None:
    consumer_lag = report.get("consumer_lag", report.get("minutes_not_judged"))
    return consumer_lag if isinstance(consumer_lag, int) and not isinstance(consumer_lag, bool) else None


if __name__ == "__main__":
    sys.exit(0 if ask(sys.argv[1], 4.0).alive else 1)
