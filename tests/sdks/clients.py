"""The official SDKs, what each needs, and what each can bear."""

from __future__ import annotations

from dataclasses import dataclass

from tests.sdks.proxy import Faults

PYTHON, NODE, BROWSER = "python", "node", "browser"

RETRIES = Faults(lost=0.3, reset=0.05, unavailable=0.05, limited=0.05)
RETRIES_NO_429 = Faults(
    lost=0.3, reset=0.05, unavailable=0.1
)  # drops what a 429 answers; our endpoints give it none
NEVER_RETRIES = Faults(lost=0.3)


@dataclass(frozen=True)
class Client:
    """One SDK in one mode."""

    name: str
    kind: str
    mode: tuple[str, ...] = ()  # what its driver is told beside address, key and count
    faults: Faults = RETRIES
    number: int = 0  # of the site, where its keys are numbers
    by_path: bool = False  # no ids on the wire: each of its events has a path of its own

    @property
    def script(self) -> str:
        """The driver's name."""
        return "_".join(self.name.split("-")[:2]) if self.kind != BROWSER else self.name.replace("-", "_")

    def site(self, network: str) -> str:
        return f"{self.name}-{network}"

    def key(self, network: str) -> str:
        """The public key of its site on this network."""
        return str(self.number + (network == "bad")) if self.number else f"key-{self.site(network)}"


CLIENTS = (
    Client("segment-py", PYTHON),
    Client("rudder-py", PYTHON),
    Client("snowplow-py-post", PYTHON, ("post",)),
    Client("snowplow-py-get", PYTHON, ("get",)),
    Client("posthog-py-v0", PYTHON, ("v0",)),
    Client("posthog-py-v1", PYTHON, ("v1",)),
    Client("segment-node", NODE),
    Client("rudder-node", NODE),
    Client("snowplow-node-post", NODE, ("post",)),
    Client("snowplow-node-get", NODE, ("get",)),
    Client("matomo-node-single", NODE, ("single",), NEVER_RETRIES, number=10, by_path=True),
    Client("matomo-node-bulk", NODE, ("bulk",), NEVER_RETRIES, number=20, by_path=True),
    Client("segment-js", BROWSER),
    Client("rudder-js", BROWSER),
    Client("snowplow-js", BROWSER),
    Client("posthog-js", BROWSER, faults=RETRIES_NO_429),
    Client("plausible-js", BROWSER, faults=NEVER_RETRIES, by_path=True),
    Client("plausible-tracker", BROWSER, faults=NEVER_RETRIES, by_path=True),
)
