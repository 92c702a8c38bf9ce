"""A stage for conversations: a real Sender and a real Receiver, every message through the real codec.

Time is a number that the play sets. What each side did that needs a shell is kept in lists for the play to look at.
"""

from common.bundle.build import Bundle
from common.errors import ProtocolError
from common.wire import receiver as agent
from common.wire import sender as manager
from common.wire.challenges import Challenge, Challenges
from common.wire.frames import FRAME_MAX_BYTES, FrameDecoder
from common.wire.messages import Message, Welcome, decode, encode
from tests.bundles import NODE
from tests.fakes.localstate import MemoryLocalState


class Stage:
    """One manager's end, one agent's end, and the wire between them, which can be cut."""

    def __init__(self, local: MemoryLocalState | None = None) -> None:
        self.now_s = 1000.0
        self.local = local or MemoryLocalState()
        self.receiver = agent.Receiver(
            node=NODE, boot_id="boot", instance="one", agent_version="0", local=self.local
        )
        self.log: list[Message] = []
        self.payloads: dict[str, bytes] = {}
        self.swallow: set[type] = set()
        self.connect()

    def connect(self, verdict: str = "ok") -> None:
        """Open a new connection and greet."""
        self.sender = manager.Sender(self.now_s)
        self.to_manager, self.to_agent = FrameDecoder(), FrameDecoder(FRAME_MAX_BYTES)
        self.installs: list[agent.Install] = []
        self.received: list[Message] = []
        self.fetches: list[manager.Fetch] = []
        self.ends: list[object] = []
        self.shown: list[Challenges] = []
        self.verdict = verdict
        self.play_agent(self.receiver.connect(self.now_s))

    def cut(self) -> None:
        """Lose the connection; the agent's end notices."""
        self.receiver.disconnect()

    def offer(self, bundle: Bundle, push_id: str = "push-1", *, forced: bool = False) -> None:
        self.payloads |= bundle.payloads
        self.play_manager(
            self.sender.offer(
                manager.PushAttempt(
                    push_id=push_id, manifest=bundle.manifest, digest=bundle.manifest.digest, forced=forced
                ),
                self.now_s,
            )
        )

    def show(self, number: int, *tokens: str) -> None:
        """Let the manager send this set."""
        challenges = [Challenge(token=each, text=f"{each}.thumb", expires_in_s=60) for each in tokens]
        self.play_manager(self.sender.show(number, challenges))

    def install(self, *, ack: bool = True) -> None:
        """Let the agent install what it was told to, with success."""
        command = self.installs.pop(0)
        self.play_agent(self.receiver.accepted(command.push_id, 60))
        outcome = self.local.apply(command, self.now_s)
        self.play_agent(self.receiver.concluded(outcome, self.now_s))
        if ack and outcome in self.received:
            self.play_manager(self.sender.acknowledge(outcome.push_id))

    def roll_back(self) -> None:
        """Let the agent install, fail to prove it, and go back."""
        command = self.installs.pop(0)
        self.play_agent(self.receiver.accepted(command.push_id, 60))
        outcome = self.local.roll_back(command, self.now_s)
        self.play_agent(self.receiver.concluded(outcome, self.now_s))

    def said(self, kind: type) -> list[Message]:
        return [message for message in self.log if isinstance(message, kind)]

    def play_manager(self, commands: list[manager.Command]) -> None:
        for command in commands:
            match command:
                case manager.Send(message, blob):
                    self.log.append(message)
                    if type(message) in self.swallow:
                        continue
                    for header, body in self.to_agent.feed(encode(message, blob)):
                        self.play_agent(self.receiver.receive(decode(header), body, self.now_s))
                case manager.Greeted():
                    welcome = Welcome(
                        verdict=self.verdict, server_time_s=self.now_s, epoch=1, retry_after_s=7
                    )
                    self.play_manager(self.sender.welcome(welcome))
                case manager.Fetch(push_id, digests):
                    self.fetches.append(command)
                    bodies = {digest: self.payloads[digest] for digest in digests}
                    self.play_manager(self.sender.supply(push_id, bodies, self.now_s))
                case manager.Received(message):
                    self.received.append(message)
                case manager.Overdue() | manager.Close():
                    self.ends.append(command)

    def play_agent(self, commands: list[agent.Command]) -> None:
        for command in commands:
            match command:
                case manager.Send(message, blob):
                    self.log.append(message)
                    if type(message) in self.swallow:
                        continue
                    for header, body in self.to_manager.feed(encode(message, blob)):
                        self.play_manager(self.sender.receive(decode(header), body, self.now_s))
                case agent.Install():
                    self.installs.append(command)
                case agent.Acknowledged():
                    self.local.outcome = None
                case agent.Show(challenges):
                    self.shown.append(challenges)
                    self.local.held = len(challenges.challenges)
                case agent.Disconnect():
                    self.ends.append(command)


__all__ = ["ProtocolError", "Stage"]
