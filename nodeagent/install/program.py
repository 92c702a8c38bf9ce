"""Programs that the agent runs with its own rights: only such as nobody else can change.

Decides by the program's owner and mode and by the directories on the way to it, links included; for an interpreter, by those of its
script as well. What a program reads or runs itself is its author's affair.
Blocking; called in a thread.
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from common.runtime import trusted
from nodeagent.core.services import script_of


def check_program(argv: Sequence[str]) -> None:
    """Raise OSError if it cannot be run: ENOENT or EACCES, or UntrustedPathError if somebody else could change what is run."""
    _check(Path(argv[0]))
    if not os.access(argv[0], os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), argv[0])
    script = script_of(argv)
    if script is not None:
        _check(Path(script))


def _check(path: Path) -> None:
    real = trusted.resolve(path)
    trusted.check_file(trusted.look(real), real)
