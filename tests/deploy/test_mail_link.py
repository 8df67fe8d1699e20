"""`fairpixel mail-link`: what it prints the edge takes, and what the edge would refuse it does not print."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy.cli import main
from ingest.mail.links import CLICK, OPEN, MailLink, decode_link, link_key

KEY = link_key(bytes.fromhex("ab" * 32))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fairpixel.toml").write_text('[sites.demo]\nclick_hosts = ["shop.example"]\n')
    (tmp_path / "secrets.toml").write_text(f'identity_secret = "{"ab" * 32}"\n')
    monkeypatch.setenv("FAIRPIXEL_DATA", str(tmp_path))
    monkeypatch.setenv("FAIRPIXEL_EDGE_PORT", "8123")
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["mail-link", *words])
    said = capsys.readouterr()
    assert (ended.value.code or 0) == status, said.err
    return said.err if status else said.out


def test_an_open_pixel_says_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    address = printed(
        capsys, "open", "--message", "spring", "--recipient", "r-1", "--sent-at", "2026-01-02T03:04:05Z",
        "--consent", "all",
    ).strip()  # fmt: skip
    assert address.startswith("http://127.0.0.1:8123/o/")
    token = address.rpartition("/")[2].removesuffix(".gif")
    assert decode_link(token, KEY, OPEN) == MailLink(OPEN, "demo", "spring", "r-1", 1_767_323_045_000, "all")


def test_a_click_link_has_its_target_inside_or_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--message", "spring", "--recipient", "r-1", "--base", "https://events.shop.example/")
    signed = urlsplit(printed(capsys, "click", "https://anywhere.example/?a=1&b=2", *words).strip())
    link = decode_link(signed.path.rpartition("/")[2], KEY, CLICK)
    assert signed.netloc == "events.shop.example"
    assert link is not None
    assert link.target == "https://anywhere.example/?a=1&b=2"
    beside = urlsplit(printed(capsys, "click", "https://shop.example/?a=1&b=2", *words, "--unsigned").strip())
    link = decode_link(beside.path.rpartition("/")[2], KEY, CLICK)
    assert link is not None
    assert link.target == ""
    assert parse_qs(beside.query) == {"u": ["https://shop.example/?a=1&b=2"]}


def test_a_list_of_recipients_becomes_a_link_each(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    ids = folder / "ids.txt"
    ids.write_text("r-1\n\nr-2\n")
    lines = printed(capsys, "open", "--message", "spring", "--recipients", str(ids)).splitlines()
    assert [line.split("\t")[0] for line in lines] == ["r-1", "r-2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("open", "--message", "m", "--recipient", "jane@shop.example"), "not an e-mail address"),
        (("open", "--message", "m"), "--recipient ID"),
        (("open", "--message", "m", "--recipient", "r", "--site", "none"), "Sites: demo"),
        (("open", "--message", "m", "--recipient", "r", "--sent-at", "soon"), "--sent-at"),
        (("open", "--message", "m", "--recipients", "nowhere.txt"), "cannot be read"),
        (("click", "javascript:alert(1)", "--message", "m", "--recipient", "r"), "http://"),
        (
            ("click", "https://evil.example", "--message", "m", "--recipient", "r", "--unsigned"),
            "click_hosts",
        ),
    ],
)
def test_what_the_edge_would_refuse_is_explained(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    error = printed(capsys, *words, status=1)
    assert said in error
    assert "jane" not in error
