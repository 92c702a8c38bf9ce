"""From a change in the store until the new leaf is seen on the real ports of three nodes, by real daemons.

The floor in the same run: an operator's script on the same machine that writes the same files, reloads the same services and
looks at the same ports, for all three at once.
"""

import asyncio
import shutil
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from common.runtime.handshake import lax_context, see_served
from demo.site import DemoNode
from tests import pki
from tests.system.fleet import RealFleet, real_fleet

ROUNDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds: medians and the slowest of the rounds. `quiet` waits for further changes, `manual` pushes at once."""

    manual_s: float
    manual_worst_s: float
    quiet_s: float
    floor_s: float


async def measure() -> Figures:
    """Run manager, three agents and three services, and change the certificate again and again."""
    _, issuer = pki.current_ca("Bench")
    async with real_fleet() as fleet:
        nodes = [await fleet.site.add_node(f"node{number}") for number in range(3)]
        await fleet.until(lambda found: all(node["state"] == "in_sync" for node in found.values()))
        quiet = [await _round(fleet, issuer, nodes, manual=False) for _ in range(ROUNDS // 2)]
        manual = [await _round(fleet, issuer, nodes, manual=True) for _ in range(ROUNDS)]
        floor = [await _floor(issuer, nodes) for _ in range(ROUNDS)]
    return Figures(
        manual_s=statistics.median(manual),
        manual_worst_s=max(manual),
        quiet_s=statistics.median(quiet),
        floor_s=statistics.median(floor),
    )


async def _round(fleet: RealFleet, issuer: pki.Made, nodes: list[DemoNode], *, manual: bool) -> float:
    made = pki.current_leaf(issuer, ["bench.example.test"])
    started = time.monotonic()
    leaf = await fleet.upload(made, issuer.certificate_pem, [node.name for node in nodes])
    if manual:
        await fleet.api.call("POST", "push", {"nodes": [node.name for node in nodes]})
    await asyncio.gather(*(until_served(node, leaf) for node in nodes))
    return time.monotonic() - started


async def until_served(node: DemoNode, leaf: str) -> None:
    """Look at a node's port until it shows this leaf."""
    context = lax_context()
    while True:
        served = await see_served("127.0.0.1", node.port, context=context, server_name=None, timeout_s=5)
        if served.leaf == leaf:
            return
        await asyncio.sleep(0.005)


async def _floor(issuer: pki.Made, nodes: list[DemoNode]) -> float:
    made = pki.current_leaf(issuer, ["bench.example.test"])
    leaf = made.certificate.fingerprint(made.certificate.signature_hash_algorithm).hex()

    async def one(node: DemoNode) -> None:
        live = (node.data / "current").resolve() / "server"
        await asyncio.to_thread(_overwrite, live, made, issuer)
        process = await asyncio.create_subprocess_exec(node.directory / "reload")
        await process.wait()
        await until_served(node, leaf)

    started = time.monotonic()
    await asyncio.gather(*(one(node) for node in nodes))
    return time.monotonic() - started


def _overwrite(live: Path, made: pki.Made, issuer: pki.Made) -> None:
    for name, text in (
        ("fullchain.pem", made.certificate_pem + issuer.certificate_pem),
        ("privkey.pem", made.key_pem),
    ):
        (live / f"{name}.new").write_text(text)
        shutil.move(live / f"{name}.new", live / name)
