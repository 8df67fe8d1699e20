"""Checks of the commands on docs/logs.md and docs/nginx.md."""

from __future__ import annotations

import gzip
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.checks import checks
from tests.docs.terminal import Terminal
from tests.platform import await_that

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


def log_lines(folder: str, count: int) -> str:
    """Lines of nginx's default format, one a path."""
    now = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    return "".join(
        f'203.0.113.7 - - [{now}] "GET /{folder}/{n} HTTP/1.1" 200 12 "-" "{FIREFOX}"\n' for n in range(count)
    )


@checks("fairpixel logs import access.log.gz --site demo")
def imports_once(terminal: Terminal, command: str) -> None:
    terminal.write("access.log.gz", gzip.compress(log_lines("imported", 5).encode()))
    for _ in range(2):
        assert "5 lines: 5 accepted, 0 invalid" in terminal.run(command)
        rows = terminal.rows("source = 'log' AND path LIKE '/imported/%'", 5)
    assert {(row["name"], row["site"]) for row in rows} == {("request", "demo")}


NGINX_LINE = '203.0.113.7 [{iso}] "GET {path} HTTP/1.1" 200 "-"'
APACHE_LINE = '198.51.100.7, 10.0.0.1 10.0.0.2 - jane doe [{apache}] "GET {path} HTTP/1.1" 200 12 "-" "M"'
NAMED_LINE = "web1 app: 203.0.113.7 - {iso} GET {path} a=b 200 M"


def imports_by_pattern(terminal: Terminal, command: str, line: str, path: str) -> None:
    """Import one line of a layout, and find its path."""
    now = time.gmtime()
    text = line.format(
        path=path,
        iso=time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
        apache=time.strftime("%d/%b/%Y:%H:%M:%S +0000", now),
    )
    terminal.write("access.log", f"{text}\n")
    assert "1 lines: 1 accepted, 0 invalid" in terminal.run(command)
    (row,) = terminal.rows(f"source = 'log' AND path = '{path}'", 1)
    assert row["host"] == ""


@checks(
    'fairpixel logs import access.log --site demo --pattern \'$remote_addr [$time_iso8601] "$request" $status'
    ' "$http_x_forwarded_for"\''
)
def imports_by_a_pattern_of_nginx(terminal: Terminal, command: str) -> None:
    imports_by_pattern(terminal, command, NGINX_LINE, "/pattern/nginx")


@checks(
    'fairpixel logs import access.log --site demo --pattern \'%{X-Forwarded-For}i %h %l %u %t "%r" %s %b'
    ' "%{Referer}i" "%{User-Agent}i"\''
)
def imports_by_a_pattern_of_apache(terminal: Terminal, command: str) -> None:
    imports_by_pattern(terminal, command, APACHE_LINE, "/pattern/apache")


@checks(
    "fairpixel logs import access.log --site demo --pattern '{_}: {ip} {user} {time} {method} {uri} {query} {status}"
    " {user_agent}'"
)
def imports_by_named_fields(terminal: Terminal, command: str) -> None:
    imports_by_pattern(terminal, command, NAMED_LINE, "/pattern/named")


@checks("fairpixel logs follow /var/log/nginx/access.log --site demo")
def follows_through_a_rotation(terminal: Terminal, command: str) -> None:
    log = terminal.path("/var/log/nginx/access.log")
    log.write_text(log_lines("followed", 2))
    with terminal.start(command):
        terminal.rows("source = 'log' AND path LIKE '/followed/%'", 2)
        log.rename(log.with_name("access.log.1"))
        log.write_text(log_lines("rotated", 3))
        terminal.rows("source = 'log' AND path LIKE '/rotated/%'", 3)


def reject_lines(terminal: Terminal, folder: str) -> None:
    """Import two lines under a format that cannot read them."""
    path = terminal.write(f"{folder}.log", log_lines(folder, 2))
    printed = terminal.run(f".venv/bin/fairpixel logs import {path} --site demo --format caddy")
    assert "2 lines: 0 accepted, 2 invalid" in printed


@checks("fairpixel logs rejected")
def lists_rejected_lines(terminal: Terminal, command: str) -> None:
    reject_lines(terminal, "listed")
    assert " demo  2 lines" in terminal.run(command)


@checks(
    "fairpixel logs rejected --show | fairpixel logs import - --site demo --format combined",
)
def brings_rejected_lines_in(terminal: Terminal, command: str) -> None:
    reject_lines(terminal, "mended")
    assert " 0 invalid" in terminal.run(command)
    terminal.rows("source = 'log' AND path LIKE '/mended/%'", 2)


@contextmanager
def running_nginx(terminal: Terminal) -> Iterator[None]:
    """An nginx that includes /etc/nginx/conf.d as Debian's does, and the command `nginx` that speaks to it."""
    binary, config = terminal.find_nginx(), terminal.path("/etc/nginx/nginx.conf")
    queue = terminal.path("/var/lib/fairpixel/pixel.log")
    pid, errors = terminal.path("/run/nginx.pid"), terminal.path("/var/log/nginx/error.log")
    terminal.path("/etc/nginx/conf.d/fairpixel.conf")
    temporary = "".join(
        f"{kind}_temp_path {queue.parent}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} pcre_jit on; daemon off; pid {pid}; error_log {errors};\n"
        f"events {{}}\nhttp {{ {temporary} access_log off; include {config.parent}/conf.d/*.conf; }}\n"
    )
    command = terminal.path("/bin/nginx")
    command.write_text(f'#!/bin/sh\nexec {binary} -p {config.parent} -c {config} -e {errors} "$@"\n')
    command.chmod(0o755)
    # As on a machine where nothing of ours was ever configured.
    terminal.path("/etc/nginx/conf.d/fairpixel.conf").unlink(missing_ok=True)
    nginx = subprocess.Popen([str(command)])
    try:
        await_that(lambda: pid.exists() and pid.read_text().strip(), "nginx runs", 20)
        yield
    finally:
        nginx.terminate()
        nginx.wait(20)


def hit(terminal: Terminal, name: str) -> None:
    """One pixel that nginx answers."""
    address = f"http://127.0.0.1:{terminal.nginx_port}/p.gif?k=demo&e={name}"
    with urllib.request.urlopen(address, timeout=5) as answer:
        assert answer.read().startswith(b"GIF89a")


RENDER = (
    "fairpixel logs nginx --listen 0.0.0.0:8088 --queue /var/lib/fairpixel/pixel.log "
    "> /etc/nginx/conf.d/fairpixel.conf"
)
RELOAD = "nginx -t && nginx -s reload"
FOLLOW = (
    "fairpixel logs follow /var/lib/fairpixel/pixel.log --format fairpixel-pixel --remove-acknowledged "
    "--nginx-pid /run/nginx.pid"
)
ROTATE = "mv pixel.log pixel.log.$(date +%s%N) && nginx -s reopen"


@contextmanager
def taking_pixels(terminal: Terminal, render: str = RENDER, reload: str = RELOAD) -> Iterator[Path]:
    """nginx with our configuration, brought there by the page's commands, and its queue."""
    with running_nginx(terminal):
        terminal.run(render)
        printed = terminal.run(reload)
        assert "syntax is ok" in printed
        assert "test is successful" in printed
        await_that(lambda: hit(terminal, "reloaded") is None, "nginx has our configuration", 20)
        yield terminal.path("/var/lib/fairpixel/pixel.log")


@checks(RENDER)
def renders_what_nginx_takes(terminal: Terminal, command: str) -> None:
    with taking_pixels(terminal, render=command) as queue:
        await_that(lambda: '"q":"k=demo' in queue.read_text(), "the hit is in the queue", 10)


@checks(RELOAD)
def nginx_tests_and_takes_it(terminal: Terminal, command: str) -> None:
    with taking_pixels(terminal, reload=command):
        hit(terminal, "after_reload")


@checks(FOLLOW)
def hits_become_rows(terminal: Terminal, command: str) -> None:
    with taking_pixels(terminal), terminal.start(command):
        for _ in range(3):
            hit(terminal, "followed_hit")
        rows = terminal.rows("name = 'followed_hit'", 3)
    assert {row["source"] for row in rows} == {"pixel"}


@checks(ROTATE)
def nginx_goes_on_in_a_new_file(terminal: Terminal, command: str) -> None:
    with taking_pixels(terminal) as queue:
        hit(terminal, "before_rotation")
        await_that(lambda: "before_rotation" in queue.read_text(), "the hit is in the queue", 10)
        terminal.run(command, within=queue.parent)
        await_that(queue.exists, "nginx has opened the new file", 10)
        # The master has opened the new file; each worker does so a moment later.
        await_that(
            lambda: hit(terminal, "after_rotation") or "after_rotation" in queue.read_text(),
            "a hit is in the new file",
            10,
        )
        assert "before_rotation" not in queue.read_text()
        rotated = [path.read_text() for path in queue.parent.glob("pixel.log.*")]
        assert any("before_rotation" in text for text in rotated)
