"""Whether hits may wait in an open pack: judged by all hits of a worker together."""

from __future__ import annotations

GOING_ON_SHARE = 0.75
WINDOW_S = 0.06  # two packs at their oldest
WINDOW_HITS = 16
LOOK_AGAIN_S = 5.0


class Patience:
    """Pure; times in seconds of one clock that only rises.

    A page needs no answer to its hit. A load generator, or a script that sends one hit after the other, waits for each
    and sends no sooner. Both may come on few connections: a proxy takes the one that was free last. So one hit right
    behind the answer to another says little; but of those who wait every hit comes so, and behind a proxy that may wait
    for 25 ms at most those of the first 10. Where hits wait too briefly to tell, they wait again every few seconds for
    one window, which costs those who do wait 1 %.
    """

    def __init__(self) -> None:
        self._hurries = False
        self._since = 0.0  # the beginning of the window
        self._look_again_at = 0.0
        self._hits = 0
        self._going_on = 0

    def may_wait(self, goes_on: bool, now: float) -> bool:
        """Count a hit. goes_on: it came right behind the answer to the one before it on its connection. 0.2 µs."""
        self._hits += 1
        self._going_on += goes_on
        if self._hits >= WINDOW_HITS and now >= self._since + WINDOW_S:
            self._judge(now)
        return not (goes_on and self._hurries)

    def _judge(self, now: float) -> None:
        if self._going_on <= GOING_ON_SHARE * self._hits:
            self._hurries = False
        elif not self._hurries:
            self._hurries = True
            self._look_again_at = now + LOOK_AGAIN_S
        elif now >= self._look_again_at:
            self._hurries = False
        self._since, self._hits, self._going_on = now, 0, 0
