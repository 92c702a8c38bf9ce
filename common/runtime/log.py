"""Log output: JSON for the journal, readable on a terminal; without secrets and without floods.

Invariants: no private key's PEM is ever logged, whatever log key or message contains it; the lines that strangers
or an outage cause are bounded (`common.runtime.flood`), whichever module logs them.
"""

import asyncio
import logging
import re
import sys
import warnings
from typing import Final, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from common.events import CAUSED_BY_NODES
from common.runtime.flood import BOUNDED, FOREIGN, TRACE_MAX_CHARS, VALUE_MAX_CHARS, Flood
from common.text import printable, printable_lines

HIDDEN: Final = "<secret>"
_PRIVATE_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)

SERIAL_WARNING: Final = r"Parsed a serial number which wasn't positive"
"""The warning of cryptography that a later release will refuse six of Mozilla's roots. A reader of the journal
could do nothing about it; each root is read by itself, so a refused one costs only itself."""

SUMMARY_S: Final = 5.0
"""How often to look for counts to log."""

_TRACEBACKS: Final = {"exception", "stack"}
"""Keys whose values may have several lines."""

Style = Literal["auto", "json", "console"]

_flood = Flood()
_OURS: Final = ("common", "manager", "nodeagent")

log = structlog.get_logger(__name__)


def bound_floods(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop a line beyond its kind's limit, and shorten text that a stranger may have written."""
    name = event["event"]
    if name not in BOUNDED or "count" in event:
        return event
    if name in CAUSED_BY_NODES:
        kind = str(event.get("node", ""))
    else:
        kind = str(
            event.get("message") or event.get("reason") or event.get("request") or event.get("path", "")
        )
    if not _flood.admits(name, kind, str(event.get("address", ""))):
        raise structlog.DropEvent
    return {key: _shortened(value) for key, value in event.items()}


async def tell_held_back() -> None:
    """Log the counts of dropped lines until cancelled, and a last time then."""
    try:
        while True:
            await asyncio.sleep(SUMMARY_S)
            _tell()
    finally:
        _tell(all_of_it=True)


def _tell(*, all_of_it: bool = False) -> None:
    for each in _flood.held_back(all_of_it=all_of_it):
        if each.event == FOREIGN:
            log.warning("lines.held_back", count=each.count, message=each.message())
        else:
            log.warning(each.event, count=each.count, message=each.message())


class _ForeignFlood(logging.Filter):
    """Bounds the lines of libraries, which a stranger may cause."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.partition(".")[0] in _OURS or _flood.admits(FOREIGN, record.name)


def _shortened(value: object) -> object:
    return value[:VALUE_MAX_CHARS] if isinstance(value, str) else value


def shorten_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep the end of a traceback."""
    trace = event.get("exception")
    if isinstance(trace, str) and len(trace) > TRACE_MAX_CHARS:
        event["exception"] = f"...{trace[-TRACE_MAX_CHARS:]}"
    return event


def hide_private_keys(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace every private key in a line, at any depth."""
    return {key: _hidden(value) for key, value in event.items()}


def make_printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters and line ends in a line for people. JSON needs no such step."""
    return {
        key: printable_lines(value) if key in _TRACEBACKS and isinstance(value, str) else _printable(value)
        for key, value in event.items()
    }


def _printable(value: object) -> object:
    match value:
        case str():
            return printable(value)
        case dict():
            return {_printable(key): _printable(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_printable(each) for each in value]
        case _:
            return value


def hide_private_keys_in(text: str) -> str:
    """Replace every private key in a text."""
    return _PRIVATE_PEM.sub(HIDDEN, text) if "PRIVATE KEY" in text else text


def configure(*, style: Style = "auto", level: str = "info") -> None:
    """Set up logging for the process, once, before the first line. Libraries log from `warning` up."""
    ignore_known_warnings()
    json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    colors = sys.stderr.isatty()
    shown: list[Processor] = [] if json else [make_printable]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    )
    # a traceback must be text before it is searched for secrets
    last: list[Processor] = [
        structlog.processors.format_exc_info,
        hide_private_keys,
        shorten_trace,
        *shown,
        renderer,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            bound_floods,
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
    handler.addFilter(_ForeignFlood())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for room in _OURS:
        logging.getLogger(room).setLevel(level.upper())


def ignore_known_warnings() -> None:
    """Keep `SERIAL_WARNING` out of the journal. Called in each process that reads certificates."""
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
