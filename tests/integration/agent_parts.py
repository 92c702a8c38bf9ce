"""What the agent's tests stand on: real bundles, a real TLS service, and scripts that reload it or do not."""

import asyncio
import os
import signal
import ssl
import stat
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from common.bundle.build import Bundle, SlotMaterial, TrustMaterial, build_bundle, slot_files, trust_files
from common.bundle.manifest import SlotFacts
from common.ids import NodeName, fingerprint_of
from common.wire.receiver import Install
from nodeagent.core.drift import Ownership
from nodeagent.core.services import Consumer, Endpoint, Services
from nodeagent.install.installer import Installer
from nodeagent.install.start import open_state
from nodeagent.install.state import NodeState, ignore_progress
from tests import pki
from tests.patience import PATIENCE_S

NODE = NodeName("n1")
OWNERS = Ownership(uid=os.geteuid(), gid=os.getegid(), secret_gid=os.getegid())
ROOT = pki.make_root()
OLD = pki.make_leaf(ROOT, ["old.example.com"])
NEW = pki.make_leaf(ROOT, ["new.example.com"])
OTHER = pki.make_leaf(ROOT, ["other.example.com"])


def real_bundle(
    leaf: pki.Made, generation: int, *, key_of: pki.Made | None = None, anchors: int = 1, epoch: int = 1
) -> Bundle:
    """A bundle of one server certificate; `key_of` puts another's key into it."""
    return chained_bundle(leaf, generation, chain=[ROOT], key_of=key_of, anchors=anchors, epoch=epoch)


def chained_bundle(
    leaf: pki.Made,
    generation: int,
    *,
    chain: list[pki.Made],
    key_of: pki.Made | None = None,
    anchors: int = 1,
    epoch: int = 1,
    trusts: pki.Made = ROOT,
) -> Bundle:
    """A bundle whose chain is as given."""
    certificate = leaf.certificate
    facts = SlotFacts(
        leaf=fingerprint_of(leaf.certificate_der),
        not_before_s=int(certificate.not_valid_before_utc.timestamp()),
        not_after_s=int(certificate.not_valid_after_utc.timestamp()),
    )
    material = SlotMaterial(
        facts=facts,
        certificate_pem=leaf.certificate_pem,
        chain_pem=pki.chain_pem(*chain),
        private_key_pem=(key_of or leaf).key_pem,
    )
    trust = TrustMaterial(
        ca_certificates_pem=trusts.certificate_pem * anchors,
        custom_ca_pem="",
        intermediates_pem="",
        anchors=anchors,
    )
    return build_bundle(
        node=NODE,
        epoch=epoch,
        generation=generation,
        slots={"server": (facts, slot_files("server", material))},
        trust=trust_files(trust),
        anchors=anchors,
    )


def with_client(bundle: Bundle, leaf: pki.Made) -> Bundle:
    """The same bundle with a client certificate, too."""
    facts = SlotFacts(
        leaf=fingerprint_of(leaf.certificate_der),
        not_before_s=int(leaf.certificate.not_valid_before_utc.timestamp()),
        not_after_s=int(leaf.certificate.not_valid_after_utc.timestamp()),
    )
    material = SlotMaterial(
        facts=facts,
        certificate_pem=leaf.certificate_pem,
        chain_pem=ROOT.certificate_pem,
        private_key_pem=leaf.key_pem,
    )
    files = slot_files("client", material)
    entries = tuple(sorted([*bundle.manifest.entries, *files.entries], key=lambda one: one.path))
    slots = {**bundle.manifest.slots, "client": facts}
    return Bundle(
        msgspec.structs.replace(bundle.manifest, entries=entries, slots=slots),
        {**bundle.payloads, **files.payloads},
    )


def with_trust(bundle: Bundle, trusted: str) -> Bundle:
    """The same bundle with another trust store."""
    files = trust_files(
        TrustMaterial(
            ca_certificates_pem=trusted,
            custom_ca_pem="",
            intermediates_pem="",
            anchors=trusted.count("BEGIN CERTIFICATE"),
        )
    )
    others = [one for one in bundle.manifest.entries if not one.path.startswith("trust/")]
    entries = tuple(sorted([*others, *files.entries], key=lambda one: one.path))
    manifest = msgspec.structs.replace(
        bundle.manifest, entries=entries, anchors=trusted.count("BEGIN CERTIFICATE")
    )
    return Bundle(manifest, {**bundle.payloads, **files.payloads})


def command(bundle: Bundle, *, forced: bool = False, confirmed_anchors: int | None = None) -> Install:
    """What the conversation hands to the installer."""
    return Install(
        push_id=f"push-{bundle.manifest.generation}",
        manifest=bundle.manifest,
        payloads=bundle.payloads,
        forced=forced,
        confirmed_anchors=confirmed_anchors,
    )


def script(path: Path, text: str) -> Path:
    """An executable shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def services(*consumers: Consumer) -> Services:
    return Services(consumers=consumers)


GIVEN_UP_S: Final = 1.0
"""For a service that shows something else to the end; who is to be proven has all patience."""


def impatient(chosen: Services) -> Services:
    """The same services, which are soon given up."""
    return Services(consumers=tuple(replace(one, verify_timeout_s=GIVEN_UP_S) for one in chosen.consumers))


def consumer(
    reload: Path,
    *,
    port: int | None = None,
    name: str = "web",
    timeout_s: float = 5,
    verify_s: float = PATIENCE_S,
) -> Consumer:
    endpoints = (Endpoint(host="127.0.0.1", port=port, protocol="https"),) if port is not None else ()
    return Consumer(
        name=name,
        uses=("server",),
        reload=(str(reload),),
        timeout_s=timeout_s,
        verify_timeout_s=verify_s,
        endpoints=endpoints,
    )


def refusing(name: str, slot: str) -> Consumer:
    """A service of this slot that takes nothing."""
    return Consumer(
        name=name, uses=(slot,), reload=("/bin/false",), timeout_s=5, verify_timeout_s=1, endpoints=()
    )


async def open_node(data: Path, chosen: Services, *, now_s: float = pki.NOW_S) -> NodeState:
    """Start the installer's side of an agent at a fixed time."""
    state = await open_state(data, services=chosen, owners=OWNERS)
    state.clock = lambda: now_s
    return state


async def install(
    state: NodeState, bundle: Bundle, *, forced: bool = False, confirmed_anchors: int | None = None
):
    return await Installer(state).install(
        command(bundle, forced=forced, confirmed_anchors=confirmed_anchors),
        accepted=lambda _: None,
        progress=ignore_progress,
    )


def snapshot(data: Path) -> dict[str, tuple[int, int, int, str | bytes]]:
    """Everything a service can see: mode, owner and content of each path, and where links lead."""
    seen = {}
    for path in sorted(data.rglob("*")):
        name = str(path.relative_to(data))
        if name.startswith(".staging") or name == "journal.json":
            continue
        facts = path.lstat()
        if stat.S_ISLNK(facts.st_mode):
            body: str | bytes = str(path.readlink())
        else:
            body = path.read_bytes() if stat.S_ISREG(facts.st_mode) else ""
        seen[name] = (facts.st_mode, facts.st_uid, facts.st_gid, body)
    return seen


class TlsService:
    """A TLS server in this process that reads its files again on SIGHUP, and counts how often."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._context: ssl.SSLContext | None = None
        self.port = 0
        self.reloads = 0

    def load(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        live = self._data / "current/server"
        context.load_cert_chain(live / "fullchain.pem", live / "privkey.pem")
        self._context = context

    def load_from(self, *chain: pki.Made) -> None:
        """Serve something else than what is installed, as after a restart on an old file."""
        pem = self._data.parent / "elsewhere.pem"
        pem.write_text(pki.chain_pem(*chain) + chain[0].key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self._context = context

    def stop(self) -> None:
        self._server.close()

    def hang_up(self) -> None:
        self.reloads += 1
        self.load()

    def _choose(self, connection, name, first) -> None:
        connection.context = self._context

    @asynccontextmanager
    async def run(self, first: pki.Made, directory: Path, *, port: int = 0):
        """Serve; `first` is shown until the first load."""
        pem = directory / "first.pem"
        pem.write_text(first.certificate_pem + first.key_pem)
        base = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        base.load_cert_chain(pem)
        self._context = base
        base.sni_callback = self._choose
        self.base = base
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.hang_up)
        server = await asyncio.start_server(_greet, "127.0.0.1", port, ssl=base)
        self._server = server
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            server.close()
            await server.wait_closed()

    def reload_script(self, directory: Path) -> Path:
        return script(directory / "reload", f"kill -HUP {os.getpid()}")


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
