"""Seam: on-call. A thread a webhook sends messages in order and tries again until they are taken; judging never waits.

A receiver can hear a message twice in one case: the program dies after the receiver took it and before that was
written down. `dedup_key` with `sequence` is then the same, and so the repeat can be told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from queue import Empty, Full, Queue
from typing import Any

import tenacity
import urllib3

WAITING_MAX = 1_000  # messages a route; what does not fit stays in the outbox and is offered again
CONNECT_SECONDS_MAX = 2.0
ANSWER_SECONDS_MAX = 5.0
PAUSE_SECONDS_MAX = 30.0  # between two tries
TRY_SECONDS_MAX = 86_400.0  # a message nobody took for a day is given up


class Outcome(StrEnum):
    """How sending one message to one route ended."""

    SENT = "sent"
    REFUSED = "refused"  # the receiver says it will never take it (a 4xx answer)
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that one route is done with."""

    transition_id: str
    route: str
    outcome: Outcome


def route_name(url: str) -> str:
    """A name for a webhook that may stand in logs: addresses of webhooks often are secrets."""
    return f"webhook-{sha256(url.encode()).hexdigest()[:8]}"


class _NotTaken(Exception):
    pass


class Webhook:
    """One receiver. Offer messages; take deliveries from `done`."""

    def __init__(self, url: str, done: Queue[Delivery], warn: Callable[[str, str], None]) -> None:
        """warn: called with the route and the reason when a try fails; the reason holds no address."""
        self.route = route_name(url)
        self._url, self._done, self._warn = url, done, warn
        self._waiting: Queue[tuple[str, dict[str, Any]]] = Queue(WAITING_MAX)
        self._offered: set[str] = set()
        self._stop = threading.Event()
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False)
        self._thread = threading.Thread(target=self._work, name=self.route, daemon=True)
        self._thread.start()

    def offer(self, transition_id: str, body: dict[str, Any]) -> bool:
        """Queue a message; False when the queue is full. A message offered before is not queued again."""
        if transition_id in self._offered:
            return True
        try:
            self._waiting.put_nowait((transition_id, body))
        except Full:
            return False
        self._offered.add(transition_id)
        return True

    def recorded(self, transition_id: str) -> None:
        """The delivery is written down; the message will not be offered again."""
        self._offered.discard(transition_id)

    def stop(self, seconds_max: float) -> None:
        """End the try under way, if it ends in time; what waits is sent by the next start."""
        self._stop.set()
        self._thread.join(seconds_max)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                transition_id, body = self._waiting.get(timeout=0.2)
            except Empty:
                continue
            tries = tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(_NotTaken),
                wait=tenacity.wait_exponential_jitter(multiplier=0.5, max=PAUSE_SECONDS_MAX),
                stop=tenacity.stop_after_delay(TRY_SECONDS_MAX) | tenacity.stop_when_event_set(self._stop),
                sleep=tenacity.sleep_using_event(self._stop),
                before_sleep=self._try_failed,
                reraise=True,
            )
            try:
                outcome = tries(self._post, body)
            except _NotTaken:
                if self._stop.is_set():
                    return  # not done: the outbox still has it
                outcome = Outcome.GIVEN_UP
            self._done.put(Delivery(transition_id, self.route, outcome))

    def _try_failed(self, state: tenacity.RetryCallState) -> None:
        self._warn(self.route, str(state.outcome.exception() if state.outcome else ""))

    def _post(self, body: dict[str, Any]) -> Outcome:
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS_MAX, read=ANSWER_SECONDS_MAX)
        try:
            answer = self._pool.request("POST", self._url, json=body, timeout=timeout)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _NotTaken(type(error).__name__) from None
        if 200 <= answer.status < 300:
            return Outcome.SENT
        if 400 <= answer.status < 500 and answer.status not in (408, 425, 429):
            self._warn(self.route, f"refused with status {answer.status}")
            return Outcome.REFUSED
        raise _NotTaken(f"status {answer.status}")
