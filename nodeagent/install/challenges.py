"""Challenges that this node shows to CAs, in files for a web server or on the agent's own port.

Decides when to show, retry and remove them, and what to report to the manager. Leaves the files to
`challengefiles`, and HTTP to `common.runtime.http_responder`. Invariants: only the newest set is shown; every
challenge expires, even without a manager or a connection; failed challenges are tried again each minute.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

import structlog

from common.challenge import PATH
from common.errors import Reason
from common.runtime.http_responder import HttpResponse, responder
from common.wire.challenges import Challenges, NotKept
from common.wire.fields import PART_TEXT_MAX_CHARS, clip
from nodeagent.core.services import ChallengePlace
from nodeagent.install.challengefiles import ChallengeFiles

log = structlog.get_logger(__name__)

TURN_S: Final = 60.0
"""How often to check the challenges and retry failed ones."""

TEXT: Final = "text/plain"
NO_PLACE: Final = "this node's services file does not say where challenges are shown ([challenges])"

Say = Callable[[Challenges, Sequence[NotKept]], None]
"""Reports on a set to the manager."""


class ShownChallenges:
    """`run` it. It calls `say` after showing a set, and when the result changes."""

    def __init__(
        self,
        data: Path,
        *,
        say: Say,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = ChallengeFiles(data, clock=clock)
        self._say = say
        self._clock = clock
        self._monotonic = monotonic
        self._place: ChallengePlace | None = None
        self._newest: Challenges | None = None
        self._came_s = 0.0
        self._answers: dict[str, HttpResponse] = {}
        self._listening: tuple[str, int] | None = None
        self._port_fault = ""
        self._said: tuple[Challenges, Mapping[str, str]] | None = None
        self._due = asyncio.Event()
        self.bound: tuple[str, int] | None = None
        """The address where CAs' questions are answered now."""

    @property
    def held(self) -> int:
        """The number of challenges shown."""
        return len(self._answers) if self._listening is not None else self._files.count

    @property
    def fault(self) -> str:
        """Why the configured port is not available, "" if it is."""
        return self._port_fault

    def configure(self, place: ChallengePlace | None) -> None:
        """Show challenges in this way from now on."""
        self._place = place
        self._due.set()

    def show(self, challenges: Challenges) -> None:
        """Show only this set from now on."""
        self._newest, self._came_s = challenges, self._monotonic()
        self._due.set()

    async def begin(self) -> None:
        """Take over an earlier process's challenges before anything is reported to a manager."""
        await asyncio.to_thread(self._files.begin)

    async def run(self) -> None:
        """Show the present set until cancelled."""
        self._listening = self.bound = None
        async with AsyncExitStack() as port:
            while True:
                self._due.clear()
                await self._turn(port)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._wait_s()):
                        await self._due.wait()

    # -- inside

    async def _turn(self, port: AsyncExitStack) -> None:
        place, newest = self._place, self._newest
        wanted = self._wanted(newest)
        await self._listen(port, place.listen if place is not None else None)
        directory = place.directory if place is not None else None
        if newest is None and directory is not None:
            # an earlier process's challenges stay until the manager sends a new set, or they expire
            await asyncio.to_thread(self._files.expire, directory)
            return
        faults = await asyncio.to_thread(self._files.show, directory, wanted)
        if place is None:
            faults = dict.fromkeys(wanted, NO_PLACE)
        elif place.listen is not None:
            faults = dict.fromkeys(wanted, self._port_fault) if self._port_fault else {}
            self._answers = {
                PATH + token: HttpResponse(200, TEXT, text.encode()) for token, (text, _) in wanted.items()
            }
        if newest is not None and newest is self._newest:
            self._tell(newest, faults)

    def _wanted(self, newest: Challenges | None) -> dict[str, tuple[str, float]]:
        """Return the challenges that have not expired, with their end by the clock."""
        if newest is None:
            return {}
        passed_s, now_s = self._monotonic() - self._came_s, self._clock()
        return {
            each.token: (each.text, now_s + each.expires_in_s - passed_s)
            for each in newest.challenges
            if each.expires_in_s > passed_s
        }

    def _tell(self, newest: Challenges, faults: Mapping[str, str]) -> None:
        if self._said is not None and self._said[0] is newest and self._said[1] == faults:
            return
        self._said = newest, faults
        if faults:
            message = "; ".join(sorted(set(faults.values())))
            log.warning("challenges.not_shown", count=len(faults), message=message)
        elif newest.challenges:
            log.info("challenges.shown", count=len(newest.challenges))
        not_kept = [
            NotKept(token=token, message=clip(text, PART_TEXT_MAX_CHARS)) for token, text in faults.items()
        ]
        self._say(newest, not_kept)

    async def _listen(self, port: AsyncExitStack, wanted: tuple[str, int] | None) -> None:
        """Listen on this port only."""
        if wanted == self._listening:
            return
        await port.aclose()
        self._answers, self._listening, self.bound = {}, None, None
        before, self._port_fault = self._port_fault, ""
        if wanted is None:
            return
        host, number = wanted
        try:
            self.bound = await port.enter_async_context(
                responder("challenges", self._answers_of, _refuse, host=host, port=number)
            )
        except OSError as error:
            self._port_fault = f"port {number} of {host} cannot be had: {error.strerror}"
            if self._port_fault != before:
                log.error("challenges.not_shown", reason=Reason.UNREACHABLE, message=self._port_fault)
        else:
            self._listening = wanted

    def _answers_of(self, path: str) -> HttpResponse | None:
        return self._answers.get(path)

    def _wait_s(self) -> float:
        """Return how long to sleep: until the first challenge ends, at most a minute."""
        if self._newest is None:
            return TURN_S
        passed_s = self._monotonic() - self._came_s
        left = [
            each.expires_in_s - passed_s for each in self._newest.challenges if each.expires_in_s > passed_s
        ]
        return min([TURN_S, *left])


def _refuse(status: int) -> HttpResponse:
    return HttpResponse(status, TEXT, b"")
