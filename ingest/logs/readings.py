"""What an operator should know of how a file was read: a format that does not fit, a header that is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.logs.access_log import LineReader
from ingest.logs.formats.cloudfront import CloudFrontFormat
from ingest.logs.formats.foreign import shape_of

SHARE_EXPECTED = 0.99  # of the lines, by a format that was told from them


@dataclass(slots=True)
class Reading:
    """How one file is read, and how that went so far."""

    name: str
    format: str
    is_guess: bool  # the format was told from the lines
    reader: LineReader
    lines: int = 0  # without skipped ones
    invalid: int = 0
    first_invalid: Sequence[tuple[int, bytes]] = ()  # numbers and lines of the first that nobody could read

    def remarks(self) -> list[str]:
        """Sentences for whoever started it.

        Of a line they show the shape and no value: they go to terminals and into journals. The lines are kept sealed.
        """
        remarks = []
        if self.is_guess and self.lines - self.invalid < SHARE_EXPECTED * self.lines:
            shapes = "".join(f"\n  line {number:,}: {shape_of(line)}" for number, line in self.first_invalid)
            remarks.append(
                f"{self.name} was taken for {self.format}, and {self.invalid:,} of its {self.lines:,} lines are not of"
                " that format; --format or --pattern can name another. The first of these lines, with a for letters and"
                f" 0 for digits:{shapes}"
            )
        if isinstance(self.reader, CloudFrontFormat) and not self.reader.has_header and self.lines:
            remarks.append(
                f"{self.name} has no line #Fields, which names the columns of CloudFront's logs; they were taken in the"
                " order of AWS's standard logs."
            )
        return remarks
