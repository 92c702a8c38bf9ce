"""What a manager announces of its addresses, in the conversation of an agent that runs."""

from common.errors import InstallError, ProtocolError
from common.runtime.supervise import Supervisor
from common.wire.contact import Contact
from common.wire.messages import Hello, Tick
from tests.integration.agent_parts import open_node, services
from tests.integration.conversation_parts import Manager, StubRoute, make_conversation

FIRST = Contact(addresses=["m1.example:9422"])
NEXT = Contact(addresses=["m1.example:9422", "m2.example:9422"])


class Keeper(StubRoute):
    def __init__(self, state, dial) -> None:
        super().__init__(dial)
        self.state = state
        self.failing = None
        self.asked = []
        state.local.set_contact(FIRST)

    async def keep(self, contact):
        self.asked.append(contact)
        if self.failing is not None:
            raise self.failing
        if contact == self.state.local.contact():
            return False
        self.state.local.set_contact(contact)
        return True


async def run(data, act):
    state = await open_node(data, services())
    manager = Manager()
    keeper = Keeper(state, manager.dial)
    talk = make_conversation(state, keeper, uniform=lambda low, high: low)
    async with Supervisor() as supervisor:
        for name in ("run_pulse", "run_jobs", "run"):
            supervisor.keep(name, getattr(talk, name))
        await manager.until(lambda: talk.status.welcomed)
        assert manager.said(Hello)[-1].contact == FIRST
        await act(manager, keeper)


async def test_an_announcement_is_kept_and_confirmed_at_once(data):
    async def act(manager, _keeper):
        manager.play(manager.sender.tock(server_time_s=manager.clock(), epoch=1, contact=NEXT))
        await manager.until(lambda: [tick.contact for tick in manager.said(Tick)] == [NEXT])

    await run(data, act)


async def test_what_is_known_already_is_not_confirmed_again(data):
    async def act(manager, keeper):
        manager.play(manager.sender.tock(server_time_s=manager.clock(), epoch=1, contact=FIRST))
        await manager.until(lambda: keeper.asked == [FIRST])
        assert manager.said(Tick) == []

    await run(data, act)


async def test_what_cannot_be_kept_is_asked_for_again_and_the_connection_stays(data):
    async def act(manager, keeper):
        for failing in (InstallError("the disk is full"), ProtocolError("no address")):
            keeper.failing = failing
            manager.play(manager.sender.tock(server_time_s=manager.clock(), epoch=1, contact=NEXT))
            count = len(keeper.asked) + 1
            await manager.until(lambda count=count: len(keeper.asked) >= count)
        keeper.failing = None
        manager.play(manager.sender.tock(server_time_s=manager.clock(), epoch=1, contact=NEXT))
        await manager.until(lambda: [tick.contact for tick in manager.said(Tick)] == [NEXT])
        assert manager.connections == 1

    await run(data, act)
