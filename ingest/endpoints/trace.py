"""`GET /v1/events/{id}`: what every stage decided about one event of the site whose secret key asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from ingest.clickhouse import ClickHouseAway
from ingest.reading.fields import Rejection
from ingest.reading.sites import SECRET, Credential
from runtime.logs import get_logger
from runtime.secrets import SecretsError, read_secrets
from runtime.settings import PlatformSettings
from runtime.trace import Database, Trace, decisions, trace_event

QUESTIONS_MAX = 2  # asked at the same time; an event's way is looked up by people, not by programs
WAITING_MAX = 16  # questions; beyond it 503

NEEDS_SECRET_KEY = Rejection(
    "secret_key_needed",
    "This address needs the secret key of a site.",
    "Authorization: expected `Bearer <secret key>`; a public key may send events, not read them",
)
UNKNOWN_EVENT = Rejection(
    "unknown_event",
    "Nothing is known of this event yet.",
    "id: it is still on its way (ask again in a few seconds), it was never accepted, it belongs to another site, it was"
    " dropped more than 7 days ago, or its row is older than the site's retention",
)
HISTORY_AWAY = Rejection(
    "history_unavailable",
    "Decisions cannot be looked up at the moment.",
    "ClickHouse does not answer; what was acknowledged is kept. Ask again after the seconds named in Retry-After.",
)

log = get_logger()


class Traces:
    """Looks events up in threads of its own, so that no hit waits for ClickHouse."""

    def __init__(self, database: Database, identity_secret: Callable[[], bytes]) -> None:
        """identity_secret: read anew for each question; b"" when it cannot be read."""
        self._database = database
        self._identity_secret = identity_secret
        self._threads = ThreadPoolExecutor(QUESTIONS_MAX, thread_name_prefix="trace")
        self._waiting = 0

    async def answer(self, event_id: str, credential: Credential | None) -> tuple[int, dict[str, Any]]:
        """(status, content) for one question."""
        if credential is None or credential.trust != SECRET:
            return 401, NEEDS_SECRET_KEY._asdict()
        if self._waiting >= WAITING_MAX:
            return 503, HISTORY_AWAY._asdict()
        self._waiting += 1
        try:
            trace = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._look_up, event_id, credential.site
            )
        except ClickHouseAway as error:
            log.warning("trace_failed", reason=str(error))
            return 503, HISTORY_AWAY._asdict()
        finally:
            self._waiting -= 1
        if not trace.is_known:
            return 404, {**UNKNOWN_EVENT._asdict(), **progress(trace)}
        return 200, {"id": event_id, "site": credential.site, **describe(trace)}

    def close(self) -> None:
        """No new questions; those under way end within their time."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _look_up(self, event_id: str, site: str) -> Trace:
        return trace_event(self._database, event_id, site, self._identity_secret())


def read_identity_secret(settings: PlatformSettings, environ: Mapping[str, str]) -> bytes:
    """The identity secret as it stands now; b"" when it cannot be read."""
    try:
        return read_secrets(settings.secrets_path, environ).identity_secret
    except (OSError, SecretsError):
        return b""


def describe(trace: Trace) -> dict[str, Any]:
    """The decisions in the order of an event's way, in the words of `fairpixel trace`."""
    return {
        "decisions": [
            {name: value for name, value in one.items() if value or name != "reason"}
            for one in map(asdict, decisions(trace))
        ],
        **progress(trace),
    }


def progress(trace: Trace) -> dict[str, Any]:
    """Until when the loader has come, and what could not be looked up."""
    loaded = [str(row["loaded_at"]) for row in trace.progress]
    return {"loaded_at": max(loaded, default=""), "drops_readable": trace.drops_readable}
