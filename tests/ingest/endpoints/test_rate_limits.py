"""The rate limiter: what a bucket lets through, how many keys it remembers, which network an address counts for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.endpoints.rate_limits import Buckets, Rate, RateLimiter
from ingest.reading.client import FORWARDED, client_ip
from ingest.reading.network import network_of
from ingest.reading.sites import Credential, Sites
from runtime.config import ConfigError, parse_config


def test_a_full_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    buckets = Buckets(Rate(per_second=10, burst=5))
    assert [buckets.take("a", 100.0) > 0 for _ in range(7)] == [False] * 5 + [True] * 2
    assert buckets.take("a", 100.0) == pytest.approx(0.1)
    assert buckets.take("a", 100.1) == 0
    assert buckets.take("a", 100.1) > 0
    assert [buckets.take("a", 1_000.0) > 0 for _ in range(6)] == [False] * 5 + [True]


def test_one_key_does_not_take_from_another() -> None:
    buckets = Buckets(Rate(1, 1))
    assert buckets.take("a", 5.0) == 0
    assert buckets.take("a", 5.0) > 0
    assert buckets.take("b", 5.0) == 0


def test_a_bucket_may_owe_and_the_next_waits_for_it() -> None:
    buckets = Buckets(Rate(10, 10))
    assert buckets.take("a", 0.0) == 0
    buckets.charge("a", 29, 0.0)
    assert buckets.take("a", 1.0) == pytest.approx(1.1)
    assert buckets.take("a", 2.2) == 0


@given(
    st.floats(0.5, 1_000),
    st.floats(1, 500),
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2)), max_size=200),
)
def test_no_key_ever_gets_more_than_its_burst_and_its_rate(
    per_second: float, burst: float, steps: list[tuple[str, float]]
) -> None:
    buckets, now, let_through = Buckets(Rate(per_second, burst)), 50.0, {"a": 0, "b": 0, "c": 0}
    for key, pause in steps:
        now += pause
        wait = buckets.take(key, now)
        let_through[key] += wait == 0
        if wait:
            assert buckets.take(key, now + wait + 1e-6) == 0  # what was told as the wait is enough
            let_through[key] += 1
            now += wait + 1e-6
    assert max(let_through.values()) <= burst + (now - 50.0) * per_second + 1e-3


def test_memory_is_bounded_and_those_who_owe_most_recently_stay() -> None:
    buckets = Buckets(Rate(1, 1), keys_max=100)
    for number in range(1_000):
        buckets.take(f"k{number}", 10.0)
        assert len(buckets) <= 100
    assert buckets.take("k999", 10.0) > 0
    for number in range(100):
        buckets.take(f"late{number}", 1_000.0)
    assert len(buckets) <= 100
    assert "k999" not in buckets._full_at  # full again, so forgotten without a change


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("198.51.100.77", "198.51.100"),
        ("198.51.101.77", "198.51.101"),
        ("::ffff:198.51.100.3", "198.51.100"),
        ("2001:db8:1:2::3", "20010db80001"),
        ("2001:db8:1:ffff::", "20010db80001"),
        ("2001:db8:2::", "20010db80002"),
        ("unknown", "unknown"),
        ("::" + "x" * 500, "::" + "x" * 58),
        ("", ""),
    ],
)
def test_an_address_counts_for_its_network(ip: str, network: str) -> None:
    assert network_of(ip) == network


def test_a_limit_of_zero_is_none_and_a_new_limit_begins_at_once() -> None:
    rate_limiter = RateLimiter(0, 1)
    assert all(rate_limiter.wait_of_network("198.51.100.1", 0.0) == 0 for _ in range(1_000))
    assert rate_limiter.wait_of_keys("shop", 0, 0.0) == 0
    assert rate_limiter.wait_of_keys("shop", 1, 0.0) == 0
    assert rate_limiter.wait_of_keys("shop", 1, 0.0) > 0
    assert rate_limiter.wait_of_keys("shop", 100, 0.0) == 0


def test_the_secret_key_of_a_site_has_a_limit_and_a_bucket_of_its_own() -> None:
    config = "[sites.shop]\nevents_per_second_max = 2\nsecret_events_per_second_max = 1\n[sites.blog]\n"
    sites = Sites.of(parse_config(config), {"shop": "sk-shop", "blog": "sk-blog"})
    public, secret = sites.public["shop"], sites.find("sk-shop")
    assert secret is not None
    assert (public.events_per_second_max, secret.events_per_second_max) == (2, 1)
    assert sites.secret_of("shop") == ("sk-shop", secret)
    assert sites.secret_of("blog")[1].events_per_second_max == 0
    rate_limiter = RateLimiter(0, 1)

    def wait(credential: Credential) -> float:
        return rate_limiter.wait_of_keys(credential.bucket, credential.events_per_second_max, 5.0)

    assert [wait(secret) > 0 for _ in range(2)] == [False, True]
    assert [wait(public) > 0 for _ in range(3)] == [False, False, True]
    rate_limiter.charge_keys(secret.bucket, secret.events_per_second_max, 9, 5.0)
    assert wait(secret) == pytest.approx(10)
    assert wait(public) == pytest.approx(0.5)


def test_no_name_of_a_site_is_the_bucket_of_another_ones_secret_key() -> None:
    bucket = Sites.of(parse_config("[sites.shop]"), {"shop": "sk"}).secret_of("shop")[1].bucket
    with pytest.raises(ConfigError):
        parse_config(f'[sites."{bucket}"]')


@pytest.mark.parametrize(
    ("payload", "proxies", "ip"),
    [
        ("for=198.51.100.1", 1, "198.51.100.1"),
        ('for=1.1.1.1, For="[2001:db8::7]:4711";proto=https', 1, "2001:db8::7"),
        ('for=1.1.1.1, For="[2001:db8::7]:4711";proto=https', 2, "1.1.1.1"),
        ("proto=https;by=10.0.0.1", 1, "peer"),
        ("for=198.51.100.1", 2, "peer"),
    ],
)
def test_the_header_forwarded_is_counted_from_the_right_too(payload: str, proxies: int, ip: str) -> None:
    headers = [(b"x-forwarded-for", b"6.6.6.6, 6.6.6.6"), (b"forwarded", payload.encode())]
    assert client_ip("peer", headers, proxies, FORWARDED) == ip
