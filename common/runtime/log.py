"""Where log lines go and how they look: JSON for the journal, readable on a terminal. No secret passes.

Invariant: a private key's PEM never leaves through here, whatever key or message it stands in.
"""

import logging
import re
import sys
import warnings
from typing import Final, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN: Final = "<secret>"
_PRIVATE_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)

SERIAL_WARNING: Final = r"Parsed a serial number which wasn't positive"
"""How cryptography announces that a later release will refuse six of Mozilla's roots. Each root is read by itself, and one
that is refused costs only itself, so there is nothing that a reader of the journal could do about it."""

Style = Literal["auto", "json", "console"]


def hide_private_keys(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace every private key in a line, at any depth."""
    return {key: _hidden(value) for key, value in event.items()}


def hide_private_keys_in(text: str) -> str:
    """Replace every private key in a text."""
    return _PRIVATE_PEM.sub(HIDDEN, text) if "PRIVATE KEY" in text else text


def configure(*, style: Style = "auto", level: str = "info") -> None:
    """Set up logging for the process, once, before the first line. Foreign libraries are heard from `warning` up."""
    ignore_known_warnings()
    json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    colors = sys.stderr.isatty()
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    )
    # a traceback is text like any other before it is searched for secrets
    last: list[Processor] = [structlog.processors.format_exc_info, hide_private_keys, renderer]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for room in ("common", "manager", "nodeagent"):
        logging.getLogger(room).setLevel(level.upper())


def ignore_known_warnings() -> None:
    """Keep `SERIAL_WARNING` out of the journal; for each process that reads certificates."""
    warnings.filterwarnings("ignore", message=SERIAL_WARNING, category=UserWarning)


def _hidden(value: object) -> object:
    match value:
        case str():
            return hide_private_keys_in(value)
        case bytes():
            return HIDDEN if b"PRIVATE KEY" in value else value
        case dict():
            return {key: _hidden(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_hidden(each) for each in value]
        case _:
            return value
