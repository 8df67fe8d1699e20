"""How often and with which seeds the faults run; a failing seed is in the test's name."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run a seed: `--fault-seed` is the first, `--fault-runs` how many."""
    if "fault_seed" in metafunc.fixturenames:
        first = metafunc.config.getoption("fault_seed")
        runs = metafunc.config.getoption("fault_runs")
        metafunc.parametrize("fault_seed", range(first, first + runs), ids=lambda seed: f"seed{seed}")
