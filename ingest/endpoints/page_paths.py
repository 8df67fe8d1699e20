"""All paths of our own tag: its scripts, its beacon, choices and links to other domains; both forms of every slash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ingest.endpoints.beacon import BeaconDoor
from ingest.endpoints.choices import ChoiceDoor, LinkDoor
from ingest.endpoints.intake import Intake
from ingest.serving.answers import Receive, Scope, Send
from ingest.tag.endpoint import ScriptDoor, build_scripts
from ingest.visitors.crossdomain import Uses

Door = Callable[[Scope, Receive, Send], Awaitable[None]]


def page_doors(intake: Intake, uses: Uses) -> dict[str, Door]:
    """Exact path -> door. uses: of links from other domains."""
    doors = {
        "/b": BeaconDoor(intake, uses),
        "/v1/consent": ChoiceDoor(intake, uses),
        "/v1/link": LinkDoor(intake),
    }
    scripts = {f"/{name}": ScriptDoor(script, intake.counts) for name, script in build_scripts().items()}
    exact: dict[str, Door] = {**scripts, **doors}
    return {**exact, **{f"{path}/": door for path, door in exact.items()}}
