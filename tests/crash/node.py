"""A node on disk with the real installer, a service that takes what is live when it is reloaded, and what must hold.

The service's reload runs in the agent's own process, so that a sweep takes milliseconds a point; it is the one thing here
that is not the real code (`tests/integration/nodeagent/test_reload.py` has the real one).
"""

import asyncio
import contextlib
import shutil
import ssl
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

from common.bundle.build import Bundle
from common.bundle.manifest import Manifest
from common.bundle.parts import with_former
from common.bundle.verify import find_faults
from common.errors import Reason
from common.ids import digest_of
from nodeagent.core.services import Consumer
from nodeagent.install import proof
from nodeagent.install.installer import Installer
from nodeagent.install.reload import ReloadError
from nodeagent.install.state import NodeState, ignore_progress
from nodeagent.install.upkeep import Upkeep
from tests import pki
from tests.integration.agent_parts import (
    ROOT,
    consumer,
    install,
    open_node,
    real_bundle,
    services,
    with_client,
    with_trust,
)

OLD, NEW, NEXT, BAD = (
    real_bundle(pki.make_leaf(ROOT, [f"{name}.example.com"]), generation)
    for generation, name in enumerate(("old", "new", "next", "bad"), start=1)
)
"""Generations 1 to 4; the service refuses the last."""

LATIN1 = ssl.DER_cert_to_PEM_cert(ROOT.certificate_der.replace(b"Root", b"R\xf6\xf6t"))
"""A CA that OpenSSL refuses to load."""

_SECOND = real_bundle(pki.make_leaf(ROOT, ["second.example.com"]), 2)
HALF = with_trust(_SECOND, ROOT.certificate_pem + LATIN1)
"""Generation 2, with a trust store that the agent refuses by OpenSSL's word."""

UNTRUSTED = with_trust(_SECOND, ROOT.certificate_pem + "# the service does not like this\n")
"""Generation 2, with a trust store that only the service refuses."""

PARTIAL = Bundle(with_former(HALF.manifest, OLD.manifest, {"trust"}), {**_SECOND.payloads, **OLD.payloads})
"""What is installed of both: the new server certificate, and the old trust store."""

CALLING = with_client(OLD, pki.make_leaf(ROOT, ["caller.example.com"]))
"""Generation 1, with a client certificate that its service refuses; without that it is the old one."""

BUNDLES = (OLD, NEW, NEXT, BAD, UNTRUSTED, PARTIAL, CALLING)
LATER_S = 2 * 3600
"""Longer than the grace of old generations."""

Say = Callable[[str], None]


def say_no_word(word: str) -> None:
    """For acts that nobody listens to."""
    del word


def leaf_of(bundle: Bundle) -> bytes:
    return bundle.payloads[bundle.manifest.by_path()["server/certificate.pem"].digest]


def trust_of(bundle: Bundle) -> bytes:
    """The trust store's PEM."""
    return bundle.payloads[bundle.manifest.by_path()["trust/ca-certificates.pem"].digest]


class Node:
    """A sweep injects faults into what changes `data`; beside it lies what the service has loaded, and how often it was reloaded."""

    def __init__(self, directory: Path, data: Path | None = None) -> None:
        self.directory = directory
        self.data = data or directory / "data"
        self.loaded = directory / "loaded.pem"
        self.services = services(
            replace(consumer(directory), uses=("server", "trust")),
            replace(consumer(directory, name="caller"), uses=("client",)),
        )

    # -- the service

    async def reload(self, chosen: Consumer, data: Path) -> None:
        """Take what is live; who calls with a client certificate takes none."""
        assert (chosen.reload, data) == ((str(self.directory),), self.data)
        if chosen.name == "caller":
            raise ReloadError("the service refuses it", reason=Reason.RELOAD_FAILED)
        leaf = (self.data / "current/server/certificate.pem").read_bytes()
        with (self.directory / "count").open("a") as file:
            file.write("x")
        trust = (self.data / "current/trust/ca-certificates.pem").read_bytes()
        if leaf == leaf_of(BAD) or trust == trust_of(UNTRUSTED):
            raise ReloadError("the service refuses it", reason=Reason.RELOAD_FAILED)
        self.loaded.write_bytes(leaf)

    @property
    def reloads(self) -> int:
        return len((self.directory / "count").read_text())

    @contextlib.contextmanager
    def service(self) -> Iterator[None]:
        with mock.patch.object(proof, "reload_consumer", self.reload):
            yield

    # -- the agent

    async def open(self) -> NodeState:
        return await open_node(self.data, self.services)

    async def start(self) -> NodeState:
        """Open, end what was interrupted, and look after the rest, as an agent does at its start."""
        state = await self.open()
        await Installer(state).resume(progress=ignore_progress)
        await Upkeep(state).turn()
        return state

    # -- what must hold

    def shown(self) -> Bundle | None:
        """The bundle that a service reads now, None before the first. It is whole, or this raises."""
        live = self.data / "current"
        if not live.is_symlink():
            assert not live.exists()
            return None
        files = {path: live / path for path in CALLING.manifest.by_path() if (live / path).exists()}
        digests = {path: digest_of(file.read_bytes()) for path, file in files.items()}
        for one in BUNDLES:
            if digests == {path: entry.digest for path, entry in one.manifest.by_path().items()}:
                payloads = {digest: files[path].read_bytes() for path, digest in digests.items()}
                assert not find_faults(one.manifest, payloads, applied=None, now_s=pki.NOW_S)
                for entry in one.manifest.entries:
                    mode = stat.S_IMODE(files[entry.path].stat().st_mode)
                    assert mode == (0o600 if entry.secret else 0o644), (entry.path, oct(mode))
                return one
        raise AssertionError(f"current shows a mixture: {digests}")

    async def check_rest(self, state: NodeState) -> Manifest | None:
        """The agent is at rest, and files, journal and service agree. Returns what is applied."""
        shown, journal, applied = self.shown(), state.file.journal, state.local.applied()
        assert journal.attempt is None
        assert state.file.is_written
        if applied is not None:
            assert shown is not None
            assert {one.digest for one in shown.manifest.entries} == {one.digest for one in applied.entries}
            assert applied.generation <= journal.highest[1]
            assert self.loaded.read_bytes() == leaf_of(shown)
            assert state.local.is_disk_right
        if journal.previous:
            assert state.tree.remembered() == journal.previous
            assert (self.data / "previous/manifest.json").exists()
        assert list((self.data / ".staging").iterdir()) == []
        assert list(self.data.glob(".*.tmp")) == []
        return applied

    async def install_next(self, state: NodeState, bundle: Bundle) -> None:
        """Install this one, as the manager would."""
        outcome = await install(state, bundle)
        assert outcome.result == "applied", (outcome.reason, outcome.message)

    def recover(
        self, *, may_show: Sequence[Bundle | None], may_rest_on: Sequence[Bundle | None], acknowledged: int
    ) -> None:
        """Start after whatever happened: old or new, whole; it comes to rest; and the next installations succeed."""
        assert self.shown() in may_show

        async def check() -> None:
            state = await self.start()
            applied = await self.check_rest(state)
            assert self.shown() in may_rest_on
            generation = applied.generation if applied is not None else 0
            assert generation >= acknowledged, (
                f"generation {acknowledged} was acknowledged, {generation} is applied"
            )
            following = next(one for one in (NEW, NEXT) if one.manifest.generation > generation)
            await self.install_next(state, following)
            reloads = self.reloads
            state = await self.start()
            assert await self.check_rest(state) == following.manifest
            assert self.reloads == reloads

        with self.service():
            asyncio.run(check())

    async def heal(self, state: NodeState | None) -> None:
        """The disk works again, and the agent that saw it fail goes on."""
        if state is None:  # it could not start, and is started again
            state = await self.start()
        await Upkeep(state).turn()
        applied = await self.check_rest(state)
        if applied != NEW.manifest:
            await self.install_next(state, NEW)
            assert await self.check_rest(state) == NEW.manifest


def copied(template: Path, directory: Path) -> Node:
    """A copy of a node; directories' times are kept, since old generations go by them."""
    shutil.copytree(template, directory, symlinks=True)
    return Node(directory)
