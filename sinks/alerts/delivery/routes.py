"""The webhooks of fairpixel.toml: read at the start and whenever it changes; a broken file leaves the old ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue

from runtime.config import ConfigError, read_config
from runtime.live_file import ReloadableFile
from sinks.alerts.delivery.message import body_of
from sinks.alerts.delivery.pager import Delivery, Outcome, Webhook, route_name
from sinks.alerts.rules import Transition

STOP_SECONDS_MAX = 8.0  # one try under way: 2 s to connect and 5 s to answer


class Webhooks:
    """All routes of now; what `loop.Pager` asks for."""

    def __init__(self, config_path: Path, warehouse_url: str, warn: Callable[..., None]) -> None:
        self._warehouse_url, self._warn = warehouse_url, warn
        self._done: Queue[Delivery] = Queue()
        self._hooks: dict[str, Webhook] = {}
        self._urls: ReloadableFile[tuple[str, ...]] = ReloadableFile(
            lambda: [config_path], lambda: read_urls(config_path), self._refuse, first=()
        )

    def refresh(self) -> None:
        """Read the file again if it changed."""
        if not self._urls.look():
            return
        wanted = {route_name(url): url for url in self._urls.value}
        for name in self._hooks.keys() - wanted.keys():
            self._hooks.pop(name).stop(0)
        for name in wanted.keys() - self._hooks.keys():
            self._hooks[name] = Webhook(
                wanted[name], self._done, lambda r, why: self._warn("page_failed", route=r, why=why)
            )

    def routes(self) -> tuple[str, ...]:
        """Names of the routes a new message goes to."""
        return tuple(sorted(self._hooks))

    def offer(self, transition: Transition, route: str) -> None:
        """Hand a message over; a route that no longer exists is done with it."""
        hook = self._hooks.get(route)
        if hook is None:
            self._done.put(Delivery(transition.transition_id, route, Outcome.GIVEN_UP))
        else:
            hook.offer(transition.transition_id, body_of(transition, self._warehouse_url))

    def deliveries(self) -> list[Delivery]:
        """What the routes are done with since the last call."""
        found = []
        while True:
            try:
                found.append(self._done.get_nowait())
            except Empty:
                return found

    def recorded(self, delivery: Delivery) -> None:
        """The delivery is written down."""
        if delivery.route in self._hooks:
            self._hooks[delivery.route].recorded(delivery.transition_id)

    def stop(self) -> None:
        """End what is under way; what was taken meanwhile still comes out of `deliveries`."""
        for hook in self._hooks.values():
            hook.stop(STOP_SECONDS_MAX)

    def _refuse(self, error: Exception) -> None:
        if isinstance(error, ConfigError):
            self._warn("config_refused", reason=str(error))
        else:
            self._warn("config_unreadable", reason=type(error).__name__)


def read_urls(config_path: Path) -> tuple[str, ...]:
    """The webhooks of the file; none without one. Raises ConfigError or OSError."""
    try:
        return read_config(config_path).alerts.webhook
    except FileNotFoundError:
        return ()
