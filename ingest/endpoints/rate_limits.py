"""Token buckets: how many requests a network, and how many events a site's public keys or its secret key, may send.

The generic cell rate algorithm (ITU-T I.371, annex A), which is a token bucket in one number a key: the time at which
the bucket will be full again. Time comes in as an argument.
"""

from __future__ import annotations

from typing import NamedTuple

BUCKETS_MAX = 100_000  # keys remembered; one costs about 150 bytes: 15 MB


class Rate(NamedTuple):
    """So many a second for long, and so many at once."""

    per_second: float
    burst: float


class RateLimiter:
    """The two limits every endpoint asks: requests of a network, and events of a site's public and secret keys."""

    def __init__(self, network_per_second: float, burst_s: float) -> None:
        """network_per_second: 0 for no limit; burst_s: a full bucket holds so many seconds of its rate."""
        self._burst_s = burst_s
        self._networks = Buckets(self._rate(network_per_second)) if network_per_second else None
        self._keys: dict[str, tuple[int, Buckets]] = {}

    def wait_of_network(self, network: str, now: float) -> float:
        """Take a request of this network (see `network_of`): 0.0 where it may, else the seconds to wait. 0.3 µs."""
        return self._networks.take(network, now) if self._networks is not None else 0.0

    def charge_network(self, network: str, count: int, now: float) -> None:
        """Take further requests of a network, for one that is as dear as many."""
        if self._networks is not None:
            self._networks.charge(network, count, now)

    def wait_of_keys(self, bucket: str, per_second_max: int, now: float) -> float:
        """Take one event of the keys that share a bucket (see `Credential`): 0.0, or the seconds to wait.

        per_second_max: 0 for no limit.
        """
        return self._of_keys(bucket, per_second_max).take(bucket, now) if per_second_max else 0.0

    def charge_keys(self, bucket: str, per_second_max: int, count: int, now: float) -> None:
        """Take further events of a request that was let in: how many there are is known once its body is read."""
        if per_second_max and count > 0:
            self._of_keys(bucket, per_second_max).charge(bucket, count, now)

    def _rate(self, per_second: float) -> Rate:
        return Rate(per_second, max(1.0, per_second * self._burst_s))

    def _of_keys(self, bucket: str, per_second_max: int) -> Buckets:
        found = self._keys.get(bucket)
        if found is None or found[0] != per_second_max:  # at most two for each site of the configuration
            found = self._keys[bucket] = (per_second_max, Buckets(self._rate(per_second_max)))
        return found[1]


class Buckets:
    """One bucket a key, all of one rate. Bounded: full buckets are forgotten first, which changes nothing, then the
    oldest half, which errs towards letting through."""

    def __init__(self, rate: Rate, keys_max: int = BUCKETS_MAX) -> None:
        """rate: per_second above 0, burst at least 1."""
        self._interval = 1 / rate.per_second  # seconds until one token is back
        self._burst_s = rate.burst / rate.per_second  # seconds from empty to full
        self._keys_max = keys_max
        self._full_at: dict[str, float] = {}

    def take(self, key: str, now: float) -> float:
        """Take one token: 0.0 where there was one, else the seconds until there is one and nothing is taken.

        now: monotonic seconds. About 0.2 µs.
        """
        full_at = self._full_at.get(key, 0.0)
        if full_at < now:
            full_at = now
            if len(self._full_at) >= self._keys_max:
                self._forget(now)
        full_at += self._interval
        if (wait := full_at - now - self._burst_s) > 1e-9:
            return wait
        self._full_at[key] = full_at
        return 0.0

    def charge(self, key: str, count: float, now: float) -> None:
        """Take more tokens whether they are there or not: a bucket may owe, and the next `take` waits for it."""
        self._full_at[key] = max(self._full_at.get(key, 0.0), now) + count * self._interval

    def __len__(self) -> int:
        return len(self._full_at)

    def _forget(self, now: float) -> None:
        """100,000 x 0.05 µs = 5 ms, at most once in 50,000 new keys: 0.1 µs a key."""
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) > self._keys_max // 2:
            kept = list(self._full_at.items())[len(self._full_at) - self._keys_max // 2 :]
            self._full_at = dict(kept)
