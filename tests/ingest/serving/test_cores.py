"""Which core a worker keeps to."""

import pytest

from ingest.serving.cores import choose_core


@pytest.mark.parametrize(("cores", "chosen"), [([0, 1], [0, 1, 0]), ([7, 3, 5], [3, 5, 7]), ([4], [4, 4, 4])])
def test_workers_take_the_cores_they_may_use_in_turn(cores: list[int], chosen: list[int]) -> None:
    assert [choose_core(cores, number) for number in range(3)] == chosen
