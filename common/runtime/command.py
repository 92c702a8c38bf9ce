"""The process of a command: its standard streams, and how it ends when they fail.

Decides the exit statuses common to all commands: 130 when interrupted, 141 when the reader of the output is gone.
Invariant: a command never ends with a traceback because of its environment: closed descriptors, an encoding
without some letter, a pipe without a reader, a full disk behind standard output.
"""

import io
import os
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from common.runtime.memory import keep_private

INTERRUPTED: Final = 130
"""128 + SIGINT, as shells say it."""

READER_GONE: Final = 141
"""128 + SIGPIPE: what `yes | head` ends with."""

FAILED: Final = 1


def run(name: str, main: Callable[[], int | None]) -> NoReturn:
    """Run a command and exit. `main` returns its exit status, or exits itself."""
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        keep_private()
        status = _status_of(main)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        status = READER_GONE
    except KeyboardInterrupt:
        status = INTERRUPTED
    except OSError as error:
        _discard_output()
        what = error.filename if error.filename is not None else "the output"
        print(f"{name}: {what}: {error.strerror or error}", file=sys.stderr)  # noqa: T201 - the command's own voice
        status = FAILED
    raise SystemExit(status)


def open_closed_streams() -> None:
    """Open /dev/null for closed descriptors 0 to 2. Otherwise the next opened file would receive the output."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for the process's life


def _status_of(main: Callable[[], int | None]) -> int:
    try:
        return main() or 0
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)  # noqa: T201 - as Python itself does
        return FAILED


def _discard_output() -> None:
    """Discard all further output. Otherwise Python would fail at exit while it flushes its buffers."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
