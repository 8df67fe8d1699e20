"""Folders that somebody else made before."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.supervisor.client import Supervisor
from deploy.supervisor.run_folder import RunFolder
from ingest.visitors.crossdomain import Use
from ingest.visitors.used_links import UsedLinks
from runtime.errors import UserError


@pytest.mark.parametrize("made", ["link", "file", "open", "link to nowhere"])
def test_a_socket_folder_that_was_made_by_somebody_else_is_refused(
    made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    monkeypatch.setenv("TMPDIR", str(shared))
    folder = RunFolder.of(tmp_path / ("long" * 20))
    where = folder.socket.parent
    assert where.parent == shared
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    match made:
        case "link":
            where.symlink_to(private)
        case "link to nowhere":
            where.symlink_to(tmp_path / "nowhere")
        case "file":
            where.write_text("")
        case "open":
            where.mkdir()
            where.chmod(0o777)
    with pytest.raises(UserError, match="not private"):
        folder.create()
    with pytest.raises(UserError, match="not private"):
        Supervisor(folder.socket).processes()
    assert list(private.iterdir()) == []
    where.rmdir() if made == "open" else where.unlink()
    folder.create()
    assert stat.S_IMODE(where.lstat().st_mode) == 0o700


def test_used_links_are_not_kept_where_a_link_leads(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "links").symlink_to(elsewhere)
    with capture_logs() as lines:
        links = UsedLinks(tmp_path / "links")
        links.forget(10**12)
        assert not links.begin("ab" * 16, Use("cd" * 16, 10**12))
    assert [line["event"] for line in lines] == ["used_links_not_kept"]
    assert list(elsewhere.iterdir()) == []
