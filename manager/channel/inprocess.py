"""In-process agent: the management node's end of its conversation, over a pipe within the process.

Drives the same `Receiver` over the same frames as an agent. Leaves what is installed, and how, to the fleet's
local node. Invariant: an outcome is repeated until the fleet has acknowledged it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol, assert_never

from common.bundle.manifest import Manifest
from common.errors import BundleError
from common.ids import Digest, NodeName
from common.runtime.transport import Peer, Transport
from common.wire import messages as wire
from common.wire.contact import Contact
from common.wire.frames import FRAME_MAX_BYTES, FrameDecoder
from common.wire.receiver import (
    Acknowledged,
    Announced,
    Command,
    Disconnect,
    Install,
    ManagerSeen,
    Receiver,
    Show,
    Welcomed,
)
from common.wire.sender import Send
from manager.channel.pipe import pipe
from manager.channel.translate import failure_message, outcome_message, report_message
from manager.domain.report import Outcome, Report


class Node(Protocol):
    """The node's state, for the in-process agent; answered from memory."""

    def report(self, now_s: float) -> Report:
        """Return the node's report on itself."""

    @property
    def manifest(self) -> Manifest | None:
        """The manifest in use."""


class InProcessAgent:
    """Implements `Peer` and `common.wire.offers.LocalState`."""

    def __init__(self, node: Node, *, name: NodeName, version: str) -> None:
        self._node, self._name = node, name
        self._receiver = Receiver(
            node=name,
            boot_id="in-process",
            instance="in-process",
            agent_version=version,
            local=self,
        )
        self._decoder = FrameDecoder(FRAME_MAX_BYTES)
        self._transport: Transport | None = None
        self._lost = asyncio.Event()
        self._owed: wire.Outcome | None = None
        self.installs: asyncio.Queue[Install] = asyncio.Queue()
        """Offers. Answer each with `accepted` or `rejected`, then `concluded`."""

    # -- LocalState

    def report(self, now_s: float) -> wire.Report:
        """Return the node's report on itself."""
        return report_message(self._node.report(now_s))

    def contact(self) -> Contact | None:
        """Return None: the manager need not find itself."""
        return None

    def applied(self) -> Manifest | None:
        """Return the manifest in use."""
        return self._node.manifest

    def highest(self) -> tuple[int, int]:
        """Return the generation in use; nothing survives the process."""
        manifest = self._node.manifest
        return manifest.version if manifest is not None else (0, 0)

    def has(self, digest: Digest) -> bool:
        """Return False: nothing is kept between bundles, as payloads come from the same process."""
        return False

    def quarantined(self, digest: Digest, now_s: float) -> wire.Failure | None:
        """Return why this content was recently refused."""
        failure = self._node.report(now_s).last_failed
        if failure is None or failure.digest != digest or failure.retry_after_s <= 0:
            return None
        return failure_message(failure)

    def challenges_held(self) -> int | None:
        """Return None: a CA cannot reach a port of this node."""
        return None

    def unacknowledged_outcome(self, now_s: float) -> wire.Outcome | None:
        """Return the outcome the fleet has not acknowledged yet."""
        return self._owed

    # -- Peer

    def data_received(self, data: bytes) -> None:
        """Take bytes from the fleet."""
        for header, blob in self._decoder.feed(data):
            self._run(self._receiver.receive(wire.decode(header), blob, time.time()))

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the fleet closed."""
        self._receiver.disconnect()
        self._transport = None
        self._lost.set()

    # -- called by the local node

    def connect(self, attach: Callable[[NodeName, Transport], Peer]) -> None:
        """Begin a conversation with the fleet."""
        near, far = pipe(asyncio.get_running_loop())
        far.attach(attach(self._name, far))
        near.attach(self)
        self._decoder, self._transport = FrameDecoder(FRAME_MAX_BYTES), near
        self._lost.clear()
        self._run(self._receiver.connect(time.time()))

    async def is_lost_within(self, within_s: float) -> bool:
        """Wait at most this long for the conversation to end; return whether it did."""
        try:
            async with asyncio.timeout(within_s):
                await self._lost.wait()
        except TimeoutError:
            return False
        return True

    def tick(self) -> None:
        """Send the minute's report."""
        self._run(self._receiver.tick(time.time()))

    def accepted(self, push_id: str, within_s: float) -> None:
        """Report that the bundle passed its checks and installation begins."""
        self._run(self._receiver.accepted(push_id, within_s))

    def rejected(self, push_id: str, error: BundleError) -> None:
        """Report that the bundle failed a check before any change was made."""
        self._run(self._receiver.rejected(push_id, error, time.time()))

    def concluded(self, outcome: Outcome) -> None:
        """Report the outcome of the installation."""
        self._owed = outcome_message(outcome)
        self._run(self._receiver.concluded(self._owed, time.time()))

    def _run(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Send(message, blob):
                    if self._transport is not None:
                        self._transport.write(wire.encode(message, blob))
                case Install():
                    self.installs.put_nowait(command)
                case Acknowledged(push_id):
                    if self._owed is not None and self._owed.push_id == push_id:
                        self._owed = None
                case Disconnect():
                    if self._transport is not None:
                        self._transport.close()
                        self.connection_lost(None)
                case Welcomed() | ManagerSeen() | Announced() | Show():
                    pass
                case _:
                    assert_never(command)
