"""Serves the page on this machine, with the edge and the key of the environment in the place of those it names.

Page and edge are both on localhost, so they are one site to a browser and the edge's cookie is kept, as that of
edge.shop.example is on a page of shop.example.
"""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

EDGE_URL = os.environ.get("EDGE_URL", "http://localhost:8000")
SITE_KEY = os.environ.get("SITE_KEY", "demo")
PAGE_PORT = int(os.environ.get("PAGE_PORT", "8090"))


class PageHandler(BaseHTTPRequestHandler):
    """One page, at /."""

    def do_GET(self) -> None:
        """Answer one request; the page is read each time, so that a change shows at the next load."""
        if self.path.partition("?")[0] != "/":
            self.send_error(404)
            return
        html = Path(__file__).with_name("index.html").read_text("utf-8")
        html = html.replace("http://localhost:8000", EDGE_URL)
        html = html.replace('data-key="demo"', f'data-key="{SITE_KEY}"').replace("?k=demo", f"?k={SITE_KEY}")
        body = html.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", PAGE_PORT), PageHandler) as server:
        print(f"http://localhost:{PAGE_PORT}/", flush=True)
        server.serve_forever()
