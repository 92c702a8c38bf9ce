"""Lays out a siege: the manager's own process, real and simulated nodes that joined, and what attackers may know."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from bench.siege.target import Target
from common.runtime.ssh import fingerprint, generate_key, load_key
from common.wire.enrolment import EnrolRequest, decode_token, new_secret
from demo.run import trusting
from demo.site import PASSWORD
from nodeagent.channel.join import ask
from tests import pki
from tests.system.fleet import RealFleet, real_fleet

CERTIFICATES: Final = 300
TRAITOR: Final = "traitor"
OWN_NODE: Final = "management"


@asynccontextmanager
async def ground(*, simulated: int, real: int, temporary: bool) -> AsyncIterator[tuple[RealFleet, Target]]:
    """Start a manager with these nodes; the simulated ones have joined and are not connected yet.

    The manager serves a certificate with a P-256 key that was assigned to it, or the temporary one that it starts with.
    """
    async with real_fleet() as fleet:
        site = fleet.site
        for number in range(real):
            await site.add_node(f"real{number}")
        names = [f"node{number}" for number in range(simulated)]
        keys: dict[str, str] = {}
        host_key = ""
        for name in [*names, TRAITOR]:
            keys[name], host_key = await _join(fleet, name)
        reader = ("reader", new_secret())
        await site.run(
            *("certcast", "user", "add", reader[0], "--role", "read-only", "--new-password-stdin"),
            stdin=reader[1],
        )
        _, issuer = pki.current_ca("Siege")
        for number in range(CERTIFICATES):
            made = pki.current_leaf(issuer, [f"n{number}.siege.test"])
            await fleet.upload(made, issuer.certificate_pem, [])
        if not temporary:
            own = pki.current_leaf(issuer, ["manager.siege.test"])
            await fleet.until_served(await fleet.upload(own, issuer.certificate_pem, [OWN_NODE]), OWN_NODE)
        target = Target(
            https=site.https,
            ssh=site.ssh,
            host_key=host_key,
            administrator=("admin", PASSWORD),
            reader=reader,
            traitor=(TRAITOR, keys.pop(TRAITOR)),
            keys=keys,
            nodes=[*names, *(node.name for node in site.nodes)],
        )
        made = await fleet.api.call("POST", "tokens", {"label": "siege", "days": 1})
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusting()),
            headers={"Authorization": f"Bearer {made['token']}"},
        ) as program:
            # a program's token waits for nobody's guesses; the password does where it comes anew from where it is guessed
            yield RealFleet(site, program), target


async def _join(fleet: RealFleet, name: str) -> tuple[str, str]:
    added = await fleet.api.call("POST", "nodes", {"name": name, "names": [f"{name}.siege.test"]})
    token = decode_token(added["join_token"])
    key = generate_key()
    reply = await ask(
        [f"127.0.0.1:{fleet.site.ssh}"],
        key=load_key(key),
        trusts=lambda line: fingerprint(line) == token.fingerprint,
        request=EnrolRequest(node=name, secret=token.secret, agent_version="0"),
    )
    if not reply.ok:
        raise RuntimeError(f"{name} could not join: {reply.message}")
    return key.decode(), reply.host_keys[0]


async def lines(process: asyncio.subprocess.Process, within_s: float) -> dict[str, Any]:
    """Return the next line of JSON that a process of the siege prints."""
    if process.stdout is None:
        raise RuntimeError("a process without output")
    async with asyncio.timeout(within_s):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError("a process of the siege ended early")
    return dict(json.loads(line))
