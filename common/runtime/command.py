"""The process of a command: its standard streams, and how it ends when they fail.

Decides exit statuses that no command decides itself: 130 interrupted, 141 the reader of the output went away.
Invariant: whatever state a shell, a service or a scheduled job leaves the process in (closed descriptors, an encoding
that lacks a letter, a pipe without a reader, a full disk behind it), a command ends without a traceback of it.
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
    """Put /dev/null where descriptors 0 to 2 are closed, or the next file that is opened would take what is printed."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
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
    """Discard all further output, or Python would fail on what is left in the buffer as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
