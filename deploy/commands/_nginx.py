"""The configuration of nginx ingestion, rendered from deploy/nginx."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import UserError

TEMPLATE = Path(__file__).parents[1] / "nginx" / "fairpixel.conf.template"
PLAIN_KEY = re.compile(r"[\w.~-]+", re.ASCII)


def render_nginx(keys: Sequence[str], queue: Path, listen: str) -> str:
    """nginx ingestion's configuration. Raises UserError for what has no place in one."""
    odd = [key for key in keys if not PLAIN_KEY.fullmatch(key)]
    if odd or not keys:
        raise UserError(
            "There is no public key." if not keys else f"{len(odd)} public keys hold unusual characters.",
            "Keys here are letters, digits and . _ ~ - only: see [sites] of fairpixel.toml.",
        )
    if not re.fullmatch(r"[\w.:\[\]/-]+", listen) or re.search(r"[\s;{}'\"$\\]", str(queue)):
        raise UserError(
            "--listen or --queue holds characters that would end nginx's directive.",
            "Use plain names, such as 127.0.0.1:8088 and /var/lib/fairpixel/pixel.log.",
        )
    names = "|".join(map(re.escape, sorted(keys, key=len, reverse=True)))
    text = TEMPLATE.read_text("utf-8")
    return text.replace("@KEYS@", names).replace("@LISTEN@", listen).replace("@QUEUE@", str(queue))
