"""`fairpixel consent explain`: it names the row that decides, in words, and refuses what it cannot ask about."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cli import main
from tests.schemas.signals.strings import AFTER_DISCLOSED, tc_core

AGREED, UNDISCLOSED = tc_core((1, 8)), tc_core((1, 8), created=AFTER_DISCLOSED)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fairpixel.toml").write_text(
        '[sites.demo]\n[sites.shop]\npublic_keys = ["shop-key"]\ntcf_missing_disclosed = "accept"\n'
    )
    (tmp_path / "secrets.toml").write_text(f'identity_secret = "{"ab" * 32}"\n')
    monkeypatch.setenv("FAIRPIXEL_DATA", str(tmp_path))
    return tmp_path


def explained(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["consent", "explain", *words])
    printed = capsys.readouterr()
    assert (ended.value.code or 0) == status, printed.err
    return printed.err if status else printed.out


@pytest.mark.parametrize(
    ("request_", "row", "kept"),
    [
        (f"k=demo&gdpr=1&gdpr_consent={AGREED}", "tcf_grants", "kept as consented"),
        (
            f"https://edge.example/p.gif?k=demo&gdpr_consent={UNDISCLOSED}#x",
            "tcf_without_disclosed_vendors",
            "not kept",
        ),
        (f"k=shop-key&gdpr_consent={UNDISCLOSED}", "tcf_grants", "site shop: measurement is granted"),
        ('{"k": "demo", "consent": {"measurement": false}}', "choice_denies", "not kept"),
        ("k=demo&consent=all&us_privacy=1YYN", "choice_grants", "purposes: necessary, measurement."),
        (f"k=demo&gpp={AGREED}", "tcf_grants", "stands where a gpp string belongs"),
        ("k=demo&consent=yes", "signal_not_understood", "kept as anonymous"),
    ],
)
def test_it_says_what_decides_and_what_is_kept(
    capsys: pytest.CaptureFixture[str], request_: str, row: str, kept: str
) -> None:
    text = explained(capsys, request_)
    assert f"Decided by {row}: " in text
    assert kept in text.lower()


def test_gpc_and_the_secret_key_can_be_tried(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "fairpixel.toml").write_text('[sites.demo]\nserver_consent = "granted"\n')
    assert "Decided by default_grants" in explained(capsys, "--secret", "e=page_view")
    assert "Decided by opt_out:" in explained(capsys, "--gpc", "e=page_view")
    assert "denies marketing" in explained(capsys, "--gpc", "e=page_view")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["k=demo", "--site", "nobody"], "There is no site"),
        (["consent=all"], "It is not clear which site decides"),
        (["{"], "This is no JSON"),
        (["hello"], "There are no signals in it"),
    ],
)
def test_what_cannot_be_asked_is_said(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert said in explained(capsys, *words, status=1)
