"""A node without a disk: the real `Receiver` and the real frames, hashing instead of writing.

Behaves as its `behaviour` says, so that a test or a bench can have nodes that work, fail, fall silent or stop reading.
"""

import secrets
import time
from collections.abc import Iterable
from typing import Literal

from common.ids import NodeName, digest_of
from common.runtime.transport import Transport
from common.wire.challenges import Challenges, NotKept
from common.wire.frames import FRAME_MAX_BYTES, FrameDecoder
from common.wire.messages import decode, encode
from common.wire.receiver import (
    Acknowledged,
    Announced,
    Command,
    Disconnect,
    Install,
    Receiver,
    Show,
    Welcomed,
)
from common.wire.sender import Send
from tests.fakes.localstate import MemoryLocalState

Behaviour = Literal["works", "rolls_back", "never_answers", "never_concludes"]


class NodeSimulator:
    """One simulated node. Implements `common.runtime.transport.Peer`."""

    def __init__(
        self, name: NodeName, *, local: MemoryLocalState | None = None, behaviour: Behaviour = "works"
    ) -> None:
        self.name = name
        self.behaviour = behaviour
        self.local = local or MemoryLocalState()
        self.receiver = Receiver(
            node=name,
            boot_id="simulated",
            instance=secrets.token_hex(8),
            agent_version="0",
            local=self.local,
        )
        self.transport: Transport | None = None
        self.applied_at: dict[int, float] = {}
        self.disconnects: list[Disconnect] = []
        self.welcomes = 0
        self.received_bytes = 0
        self.shown: list[Challenges] = []
        self.refuses: dict[str, str] = {}

    def greet(self, transport: Transport) -> None:
        """Begin the conversation on a new transport."""
        self.transport = transport
        self.decoder = FrameDecoder(FRAME_MAX_BYTES)
        self.run(self.receiver.connect(time.time()))

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self.behaviour == "never_answers" and self.receiver.welcomed:
            return
        for header, blob in self.decoder.feed(data):
            self.run(self.receiver.receive(decode(header), blob, time.time()))

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self.receiver.disconnect()

    def tick(self) -> None:
        self.run(self.receiver.tick(time.time()))

    def run(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Send(message, blob):
                    if self.transport is not None:
                        self.transport.write(encode(message, blob))
                case Install():
                    self.install(command)
                case Acknowledged(push_id):
                    self.forget(push_id)
                case Disconnect():
                    self.leave(command)
                case Welcomed(welcome):
                    self.welcomes += welcome.verdict == "ok"
                case Show(challenges):
                    self.show(challenges)
                case Announced(contact):
                    self.local.known = contact
                    self.tick()

    def forget(self, push_id: str) -> None:
        if self.local.outcome is not None and self.local.outcome.push_id == push_id:
            self.local.outcome = None

    def show(self, challenges: Challenges) -> None:
        self.shown.append(challenges)
        self.local.held = len(challenges.challenges)
        not_kept = [
            NotKept(token=each.token, message=self.refuses[each.token])
            for each in challenges.challenges
            if each.token in self.refuses
        ]
        self.run(self.receiver.kept(challenges, not_kept))

    def leave(self, command: Disconnect) -> None:
        self.disconnects.append(command)
        if self.transport is not None:
            self.transport.close()

    def install(self, install: Install) -> None:
        self.run(self.receiver.accepted(install.push_id, 30))
        if self.behaviour == "never_concludes":
            return
        if self.behaviour == "rolls_back":
            outcome = self.local.roll_back(install, time.time())
        else:
            for digest, body in install.payloads.items():
                assert digest_of(body) == digest
            outcome = self.local.apply(install, time.time())
            self.applied_at[install.manifest.generation] = time.monotonic()
        self.run(self.receiver.concluded(outcome, time.time()))
