"""Networks instead of addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.steps.ip import truncate_all, truncate_ip
from tests.streams.make import cleaned, page_view


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("203.0.113.077", ""),
        ("203.0.113.256", ""),
        ("203.0.113", ""),
        ("fe80::1%eth0", "fe80::"),
        ("somebody", ""),
        ("", ""),
    ],
)
def test_the_host_is_forgotten(ip: str, network: str) -> None:
    assert truncate_ip(ip) == network


octets = st.one_of(st.integers(0, 300).map(str), st.sampled_from(["", "01", "1a", "٣", " 1", "+1"]))
addresses = st.one_of(
    st.ip_addresses().map(str), st.lists(octets, min_size=3, max_size=5).map(".".join), st.text(max_size=20)
)


@given(st.lists(addresses, max_size=9))
def test_the_fast_form_says_what_the_plain_form_says(ips: list[str]) -> None:
    assert truncate_all(ips) == [truncate_ip(ip) for ip in ips]


def test_no_step_leaves_the_address() -> None:
    one = cleaned(page_view(ip="198.51.100.23"))
    assert (one.ip, one.ip_network) == ([], ["198.51.100.0"])
