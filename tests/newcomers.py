"""Logins of joining machines, each with an unknown key and trust in any manager."""

from typing import Any

import asyncssh

from common.runtime.ssh import JOIN_USER, common_options, generate_key, load_key


async def newcomer(port: int, host: str, **options: Any) -> asyncssh.SSHClientConnection:
    """Log in from an address of this machine."""
    known: dict[str, Any] = {
        **common_options(),
        "username": JOIN_USER,
        "client_keys": [load_key(generate_key())],
        "agent_path": None,
        "known_hosts": None,
        "local_addr": (host, 0),
    }
    return await asyncssh.connect("127.0.0.1", port, **{**known, **options})
