"""Process memory: what a process holds of keys and passphrases is in no core file, and nobody else's to read.

Decides what is switched off for a process and what it starts. Invariant: it is off before the first secret is read.
"""

import ctypes
import resource
from typing import Final

PR_SET_DUMPABLE: Final = 4
"""prctl(2). A process that is not dumpable writes no core, into a file or a pipe, and its /proc/PID/mem and environ are closed to others of
its account, as is ptrace. An exec switches it on again, so each program of ours switches it off for itself."""


def keep_private() -> None:
    """Forbid core dumps and tracing of this process and of what it starts. Raises OSError."""
    # the programs that we start (openssl, a service's own check) are given keys too, and inherit this
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the process cannot be kept from being dumped")
