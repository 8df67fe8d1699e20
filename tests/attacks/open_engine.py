"""The embedded ClickHouse without its first walls, to try the kernel's: `python -m tests.attacks.open_engine`.

The guard judges nothing and the engine's user is granted everything.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from deploy.embedded.clickhouse import __main__ as program
from deploy.embedded.clickhouse import engine_files
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.guard import Guard, Verdict
from deploy.embedded.clickhouse.rights import Rights


class OpenGuard(Guard):
    """Tells what a statement is, as the real one does, and refuses nothing."""

    def _judge(self, text: str, rights: Rights, identifiers: Mapping[str, str] | None = None) -> Verdict:
        try:
            tree = json.loads(self._parser.parse(text))
        except ClickHouseError as error:
            if error.code == 36:
                return Verdict("SelectWithUnionQuery", None, False)
            raise
        name = tree.get("format_ast") or {}
        return Verdict(
            "SelectWithUnionQuery", name.get("name"), "/dev/fd/0000" in json.dumps(tree.get("out_file"))
        )

    def check_setting(self, name: str) -> None:
        """Every setting may be set."""


if __name__ == "__main__":
    engine_files.GRANTS = engine_files.READER_GRANTS = ("GRANT ALL ON *.*",)
    sys.exit(program.main(OpenGuard))
