"""HTTPS by the edge itself; a mistake in its files is a sentence that says what to do."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from ingest.serving.tls import check_tls
from runtime.settings import SettingError
from tests.ingest.edges import Edge
from tests.ingest.serving.secure_edge import SEC1, SecureEdge, make_certificate
from tests.processes import REPO, await_that, free_port


def test_the_edge_serves_https_and_no_version_below_the_lowest(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    env = {
        "FAIRPIXEL_TLS_CERT": str(cert),
        "FAIRPIXEL_TLS_KEY": str(key),
        "FAIRPIXEL_TLS_MIN": "1.3",
        "FAIRPIXEL_INGEST_KAFKA_WAIT_MS_MAX": "100",
        "FAIRPIXEL_INGEST_HEADER_SECONDS_MAX": "3",
    }
    edge = SecureEdge(tmp_path, f"127.0.0.1:{free_port()}", env=env)
    trusting = ssl.create_default_context(cafile=str(cert))
    with edge:
        answer = httpx2.get(f"https://localhost:{edge.port}/p.gif?k=demo", verify=trusting)
        assert (answer.status_code, len(answer.content)) == (200, 43)
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", edge.port)) as one:
            trusting.wrap_socket(one, server_hostname="localhost")
        silent = socket.create_connection(("127.0.0.1", edge.port))  # never begins its handshake
        trusting.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
        assert httpx2.get(f"https://localhost:{edge.port}/healthz", verify=trusting).status_code == 200
        silent.settimeout(20)
        assert silent.recv(1) == b"", "and is cut off within the time a header may take"
        silent.close()


def test_a_mistake_in_the_files_is_a_sentence(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    _, other = make_certificate(tmp_path, "other")
    _, old = make_certificate(tmp_path, "old", SEC1)
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
    check_tls(cert, key)
    for pair, words in (
        ((cert, other), "is not the key of the certificate"),
        ((cert, old), "openssl pkcs8 -topk8 -nocrypt"),
        ((key, key), "holds no certificate"),
        ((tmp_path / "nowhere.pem", key), "FAIRPIXEL_TLS_CERT: .*No such file"),
        ((tmp_path, key), "Is a directory"),
        ((broken, key), "not readable as PEM"),
    ):
        with pytest.raises(SettingError, match=words):
            check_tls(*pair)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"FAIRPIXEL_TLS_CERT": "a.pem"}, "FAIRPIXEL_TLS_KEY: expected a file"),
        ({"FAIRPIXEL_TLS_CERT": "a.pem", "FAIRPIXEL_TLS_KEY": "a.key"}, "a.pem: No such file"),
        ({"FAIRPIXEL_TLS_MIN": "1.1"}, "FAIRPIXEL_TLS_MIN: expected 1.2 or 1.3"),
        ({"FAIRPIXEL_PROXY_HEADER": "X-Real-IP"}, "FAIRPIXEL_PROXY_HEADER: expected"),
        ({"FAIRPIXEL_INGEST_HEADER_SECONDS_MAX": "90"}, "expected 1 to 60 seconds"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_the_start_with_one_line(
    env: dict[str, str], words: str, tmp_path: Path
) -> None:
    edge = Edge(tmp_path, "127.0.0.1:1", env=env)
    done = subprocess.run(
        [sys.executable, "-m", "ingest"],
        cwd=REPO,
        env=edge.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    await_that(lambda: done.returncode is not None, 1, "it ended")
