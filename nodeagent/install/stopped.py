"""Services that do not run: they prove nothing, and the installed files are not to blame.

Decides from the declared unit's state and from the ports. A service does not run if all its ports refuse connections,
or if its unit is stopped or failed and none of its ports shows a certificate.
Invariant: a service that shows any certificate never counts as stopped.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from common.wire.messages import Serving
from nodeagent.core.services import Consumer, Endpoint
from nodeagent.core.timing import WAIT_MAX_CHARS, Wait
from nodeagent.install.units import UnitState, unit_states

CONNECT_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Why a service counts as stopped. `unit` is its unit's state, None if undeclared or unknown.

    Without ports (`has_ports`) an inactive unit means little: a job that runs on each change is inactive in between.
    """

    message: str
    unit: UnitState | None
    has_ports: bool

    @property
    def is_deliberate(self) -> bool:
        """Whether an administrator stopped it, for example for maintenance."""
        return self.has_ports and self.unit in {"stopped", "masked"}

    @property
    def is_certain(self) -> bool:
        """Whether systemd reports it as stopped, so that waiting for its ports is useless."""
        return self.has_ports and self.unit in {"stopped", "masked", "failed"}

    @property
    def is_excuse(self) -> bool:
        """Whether this explains a failed reload. It does not for a failed job, which has no port to prove it later."""
        return self.has_ports or self.unit != "failed"

    @property
    def wait(self) -> Wait:
        """The text to report until it runs."""
        then = (
            "restart it, so that it opens its ports with the installed files"
            if self.unit == "running"
            else "it reads the installed files when it starts"
        )
        return Wait(reason="service", message=f"{self.message}; {then}"[:WAIT_MAX_CHARS])


async def find_stopped(consumers: Iterable[Consumer], seen: Iterable[Serving]) -> dict[str, Stopped]:
    """Return which of these do not run, judged by the last probes of their ports."""
    shown = {one.consumer for one in seen if one.leaf}
    silent = [consumer for consumer in consumers if consumer.name not in shown]
    units = await unit_states(consumer.unit for consumer in silent if consumer.unit is not None)
    async with asyncio.TaskGroup() as tasks:
        found = {one.name: tasks.create_task(_stopped(one, units)) for one in silent}
    return {name: task.result() for name, task in found.items() if task.result() is not None}  # type: ignore[misc]


async def _stopped(consumer: Consumer, units: Mapping[str, UnitState]) -> Stopped | None:
    unit = units.get(consumer.unit) if consumer.unit is not None else None
    has_ports = bool(consumer.endpoints)
    problem = {"stopped": "is stopped", "masked": "is masked", "failed": "has failed"}.get(unit or "")
    if problem is not None:
        return Stopped(message=f"{consumer.unit} {problem}", unit=unit, has_ports=has_ports)
    if not consumer.endpoints or not await _refuse_all(consumer.endpoints):
        return None
    more = len(consumer.endpoints) - 1
    ports = f"{consumer.endpoints[0].label:.64}" + (f" and {more} more" if more else "")
    though = f" although {consumer.unit} runs" if unit == "running" else ""
    return Stopped(message=f"nothing listens on {ports}{though}", unit=unit, has_ports=has_ports)


async def _refuse_all(endpoints: Iterable[Endpoint]) -> bool:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_refuses(endpoint)) for endpoint in endpoints]
    return all(one.result() for one in asked)


async def _refuses(endpoint: Endpoint) -> bool:
    """Whether every address of the host refuses the connection. A slow or filtered port proves nothing."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
            refusals = [await _refuses_at(family, address) for family, _, _, _, address in found]
    except (TimeoutError, OSError, ValueError):
        return False
    return bool(refusals) and all(refusals)


async def _refuses_at(family: int, address: tuple[object, ...]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        attempt.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(attempt, address)
        except ConnectionRefusedError:
            return True
        return False
