"""Sockets that the service manager bound for this process, as sd_listen_fds(3) describes them.

They let a daemon listen on a port below 1024 without a capability. Empty without such a service manager.
"""

import os
import socket
from typing import Final

FIRST_DESCRIPTOR: Final = 3


def activated_socket(name: str) -> socket.socket | None:
    """Return the listening socket of that name (`FileDescriptorName=`), None if it does not exist."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    if name not in names:
        return None
    descriptor = FIRST_DESCRIPTOR + names.index(name)
    os.set_inheritable(descriptor, False)
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    return listening
