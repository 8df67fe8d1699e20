"""From cores to workers and partitions, and what an earlier start has fixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.checks import port_settings
from deploy.data_folder import make_data_folder
from deploy.local import Platform
from deploy.sizing.cores import find_cores
from deploy.sizing.record import sizes_of_last_start, sizes_of_next_start, write_sizes
from deploy.sizing.sizes import SMALLEST, Asked, Sizes, choose_sizes
from runtime.errors import UserError
from runtime.settings import PlatformSettings

NOTHING = Asked()


@pytest.mark.parametrize(
    ("cores", "edge_workers", "streams_workers", "partitions"),
    [
        (1, 1, 1, 1), (2, 1, 1, 1), (3, 1, 1, 1), (4, 1, 1, 2), (5, 2, 1, 2), (6, 2, 1, 2), (7, 2, 1, 2),
        (8, 3, 2, 4), (12, 4, 2, 4), (16, 5, 4, 8), (24, 8, 4, 8), (32, 11, 8, 16), (64, 16, 8, 16), (256, 16, 8, 16),
    ],
)  # fmt: skip
def test_sizes_by_cores(cores: int, edge_workers: int, streams_workers: int, partitions: int) -> None:
    sizes = choose_sizes(cores, NOTHING, None)
    assert (sizes.edge_workers, sizes.streams_workers, sizes.partitions) == (
        edge_workers, streams_workers, partitions,
    )  # fmt: skip


def test_two_cores_get_the_smallest_sizes_and_keep_the_partitions_they_had_before() -> None:
    for sizes in (choose_sizes(2, NOTHING, None), SMALLEST):
        assert (sizes.edge_workers, sizes.streams_workers, sizes.partitions) == (1, 1, 1)
    assert choose_sizes(2, NOTHING, 2).partitions == 2


def test_what_is_set_is_taken() -> None:
    sizes = choose_sizes(2, Asked(edge_workers=3, streams_workers=3), None)
    assert (sizes.edge_workers, sizes.streams_workers, sizes.partitions) == (3, 3, 4)
    assert choose_sizes(2, Asked(partitions=6), None).partitions == 6
    assert "FAIRPIXEL_KAFKA_PARTITIONS is set" in choose_sizes(2, Asked(partitions=6), None).why


def test_partitions_stay_as_they_were_made_and_bound_the_workers() -> None:
    sizes = choose_sizes(32, NOTHING, 2)
    assert (sizes.edge_workers, sizes.streams_workers, sizes.partitions) == (11, 2, 2)
    assert "as an earlier start made them" in sizes.why
    assert "a first start would make 16" in sizes.why
    assert choose_sizes(1, NOTHING, 8).partitions == 8
    with pytest.raises(UserError, match="there are 2 partitions"):
        choose_sizes(32, Asked(streams_workers=4), 2)


def test_partitions_are_multiplied_only() -> None:
    assert choose_sizes(2, Asked(partitions=8), 2).partitions == 8
    assert choose_sizes(2, Asked(partitions=4), 4).partitions == 4
    for asked, fixed in ((3, 2), (2, 4), (6, 4), (1_000, None)):
        with pytest.raises(UserError, match=f"FAIRPIXEL_KAFKA_PARTITIONS={asked}"):
            choose_sizes(2, Asked(partitions=asked), fixed)


def settings_of(folder: Path, **more: str) -> tuple[PlatformSettings, dict[str, str]]:
    environ = {"FAIRPIXEL_DATA": str(folder / "data"), "FAIRPIXEL_KEYS": str(folder / "keys"), **more}
    settings = PlatformSettings.from_env(environ)
    make_data_folder(settings)
    return settings, environ


def test_a_first_start_goes_by_the_cores_and_a_later_one_keeps_the_partitions(tmp_path: Path) -> None:
    settings, environ = settings_of(tmp_path, FAIRPIXEL_CORES="8")
    sizes = sizes_of_next_start(settings, environ)
    assert sizes.partitions == 4
    write_sizes(settings, sizes)
    assert sizes_of_last_start(settings) == sizes
    assert (settings.data / "sizes.json").stat().st_mode & 0o777 == 0o600
    settings, environ = settings_of(tmp_path, FAIRPIXEL_CORES="16")
    sizes = sizes_of_next_start(settings, environ)
    assert (sizes.edge_workers, sizes.streams_workers, sizes.partitions) == (5, 4, 4)


def test_a_data_folder_without_a_record_has_the_partitions_that_all_had(tmp_path: Path) -> None:
    settings, environ = settings_of(tmp_path, FAIRPIXEL_CORES="16")
    (settings.data / "kafka" / "meta.properties").touch()
    assert sizes_of_next_start(settings, environ).partitions == 2


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    settings, _ = settings_of(tmp_path)
    for text in ("", "{}}", "[]", '{"partitions": 0}', '{"cores": 2}'):
        (settings.data / "sizes.json").write_text(text)
        assert sizes_of_last_start(settings) is None


def test_topics_of_another_kafka_do_not_grow_by_the_cores(tmp_path: Path) -> None:
    elsewhere = {"FAIRPIXEL_CORES": "16", "FAIRPIXEL_KAFKA_BOOTSTRAP": "broker:9092"}
    settings, environ = settings_of(tmp_path, **elsewhere)
    assert sizes_of_next_start(settings, environ).partitions == 2
    settings, environ = settings_of(tmp_path, **elsewhere, FAIRPIXEL_KAFKA_PARTITIONS="12")
    assert sizes_of_next_start(settings, environ).partitions == 12


def test_partitions_do_not_grow_while_packs_wait_in_the_spool(tmp_path: Path) -> None:
    settings, environ = settings_of(tmp_path, FAIRPIXEL_KAFKA_PARTITIONS="4")
    write_sizes(settings, SMALLEST)
    segment = settings.data / "ingest" / "spool" / "edge-0" / "000000000001.seg"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(b"a pack")
    with pytest.raises(UserError, match="wait in the spool"):
        sizes_of_next_start(settings, environ)
    segment.unlink()
    assert sizes_of_next_start(settings, environ).partitions == 4


def test_each_streams_worker_has_a_name_and_a_port_of_its_own(tmp_path: Path) -> None:
    settings, environ = settings_of(tmp_path, FAIRPIXEL_CORES="8", FAIRPIXEL_STREAMS_MORE_PORT="9011")
    platform = Platform.to_start(environ)
    workers = {one.name: dict(one.environment) for one in platform.programs if one.name.startswith("streams")}
    assert {name: one["FAIRPIXEL_STREAMS_PORT"] for name, one in workers.items()} == {
        "streams": "8001", "streams-2": "9011",
    }  # fmt: skip
    instances = {one["FAIRPIXEL_STREAMS_INSTANCE"] for one in workers.values()}
    assert instances == {"streams-1-of-4", "streams-2-of-4"}
    assert ("the health of streams-2", 9011, "FAIRPIXEL_STREAMS_MORE_PORT") in port_settings(settings, 2)
    # Other commands, which may see another environment, go by what was started.
    write_sizes(settings, platform.sizes)
    del environ["FAIRPIXEL_CORES"]
    assert Platform.from_env(environ).sizes == platform.sizes


def test_a_record_is_what_was_chosen(tmp_path: Path) -> None:
    settings, _ = settings_of(tmp_path)
    write_sizes(settings, Sizes(3, 2, 4, "8 cores"))
    assert sizes_of_last_start(settings) == Sizes(3, 2, 4, "8 cores")


def cores_of(folder: Path, own: str, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Cores of a process that may run on 16, with these limits."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    (folder / "own").write_text(own)
    for name, text in files.items():
        path = folder / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return find_cores(folder / "mount", folder / "own")


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/\n", {}, 16),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, 16),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "350000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        (
            "3:cpu,cpuacct:/a\n0::/\n",
            {"cpu/a/cpu.cfs_quota_us": "400000", "cpu/a/cpu.cfs_period_us": "100000"},
            4,
        ),
        ("3:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, 16),
        ("2:cpuset:/a\nnonsense\n", {"cpu/a/cpu.cfs_quota_us": "100000"}, 16),
        ("0::/\n", {"cpu.max": "0 0\n"}, 16),
    ],
)
def test_cores_are_those_that_affinity_and_cgroups_give(
    own: str, files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cores_of(tmp_path, own, files, monkeypatch) == cores
