"""One JSON line a log entry, with counts and names of things in it and never a person."""

from __future__ import annotations

import logging
import sys
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

LIBRARY_SECONDS_BETWEEN = 10.0


def configure_logs(program: str, level: int = logging.INFO) -> None:
    """Send all logs of this process to stderr as JSON lines; libraries speak from WARNING up, and calmly.

    An exception is named by its type and place: its text may repeat what somebody sent.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_exception,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(program=program)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(CalmFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    for old in logging.root.handlers[:]:
        logging.root.removeHandler(old)
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.WARNING)


def get_logger() -> FilteringBoundLogger:
    """The logger of this process: `log.info("batch_cleaned", rows_in=512)`."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


class CalmFilter(logging.Filter):
    """Lets each place in a library speak once in a while: a client whose broker is away says so 20 times a second."""

    def __init__(self, seconds_between: float = LIBRARY_SECONDS_BETWEEN) -> None:
        super().__init__()
        self._seconds_between = seconds_between
        self._logged_at: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True when this place has been silent long enough; the record's own time is the clock."""
        place = (record.name, record.lineno)
        if record.created - self._logged_at.get(place, float("-inf")) < self._seconds_between:
            return False
        self._logged_at[place] = record.created
        return True


def name_exception(logger: Any, method: str, entry: EventDict) -> EventDict:
    """Replace an exception by its type and the place it came from."""
    found = entry.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found if isinstance(found, BaseException) else found[1] if found else None
    if error is not None:
        entry["exception"] = type(error).__name__
        entry["where"] = _place(error.__traceback__)
    return entry


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
