"""The embedded ClickHouse without its first walls, to try the kernel's: `python -m tests.attacks.open_engine`.

The allow-list judges nothing and the engine's user is granted everything.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from deploy.embedded.clickhouse import __main__ as program
from deploy.embedded.clickhouse import engine_files
from deploy.embedded.clickhouse.allow_list import AllowList, Verdict
from deploy.embedded.clickhouse.rights import Rights
from deploy.embedded.clickhouse.statement import PIPE_MARK


class OpenAllowList(AllowList):
    """Looks at no tree and refuses nothing."""

    def _judge(self, text: str, rights: Rights, identifiers: Mapping[str, str] | None = None) -> Verdict:
        return Verdict("SelectWithUnionQuery", None, PIPE_MARK in text)

    def check_setting(self, name: str) -> None:
        """Every setting may be set."""

    def check_reader_setting(self, name: str, value: str) -> None:
        """By readers as well."""


if __name__ == "__main__":
    engine_files.GRANTS = engine_files.READER_GRANTS = ("GRANT ALL ON *.*",)
    sys.exit(program.main(OpenAllowList))
