"""The webhooks of fairpixel.toml: read at the start and whenever it changes; a broken file leaves the old ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue

from runtime.config import ConfigError, parse_config
from sinks.alerts.delivery.message import body_of
from sinks.alerts.delivery.pager import Delivery, Outcome, Webhook, route_name
from sinks.alerts.rules import Transition

STOP_SECONDS_MAX = 8.0  # one try under way: 2 s to connect and 5 s to answer


class Webhooks:
    """All routes of now; what `loop.Pager` asks for."""

    def __init__(self, config_path: Path, warehouse_url: str, warn: Callable[..., None]) -> None:
        self._path, self._warehouse_url, self._warn = config_path, warehouse_url, warn
        self._done: Queue[Delivery] = Queue()
        self._hooks: dict[str, Webhook] = {}
        self._seen: tuple[int, int] | None = None

    def refresh(self) -> None:
        """Read the file again if it changed."""
        try:
            about = self._path.stat()
            seen = (about.st_mtime_ns, about.st_size)
            if seen == self._seen:
                return
            urls = parse_config(self._path.read_text("utf-8")).alerts.webhook
        except FileNotFoundError:
            seen, urls = (0, 0), ()
        except (OSError, UnicodeDecodeError) as error:
            self._warn("config_unreadable", reason=type(error).__name__)
            return
        except ConfigError as error:
            self._seen = seen
            self._warn("config_refused", reason=str(error))
            return
        self._seen = seen
        wanted = {route_name(url): url for url in urls}
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
