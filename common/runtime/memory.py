"""Process memory: keeps keys and passphrases out of core files and away from other processes.

Switches core dumps and tracing off for a process and its children. Invariant: this happens before the first
secret is read.
"""

import ctypes
import resource
from typing import Final

PR_SET_DUMPABLE: Final = 4
"""prctl(2). A process that is not dumpable writes no core into a file or a pipe, and refuses ptrace and access to
its /proc/PID/mem and environ from its own account. An exec resets this, so each of our programs sets it again."""


def keep_private() -> None:
    """Forbid core dumps of this process and its children, and tracing of this process. Raises OSError."""
    # the programs that we start (openssl, a service's own check) handle keys too, and inherit this
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the process cannot be kept from being dumped")
