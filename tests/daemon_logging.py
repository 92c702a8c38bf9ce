"""Logging as a daemon has it, for a part of a test.

Invariant: afterwards logging is as in other tests, also for loggers first used meanwhile, which a daemon's
logging would otherwise keep for good.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from common.runtime import log as logs


@contextmanager
def daemon_logging(*, style: logs.Style, level: str = "info") -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "common", "manager", "nodeagent")]
    handlers, levels = loggers[0].handlers[:], [each.level for each in loggers]
    try:
        logs.configure(style=style, level=level)
        structlog.configure(cache_logger_on_first_use=False)
        yield
    finally:
        loggers[0].handlers[:] = handlers
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)
        structlog.reset_defaults()
