"""Key updates of TLS 1.3 without end: each costs the loop as much as a record with data, and reaches no parser that could count it."""

import asyncio
from pathlib import Path

import pytest

from manager.http import seats
from manager.http.handshakes import PIECE_BYTES
from manager.http.seats import HOLLOW, HOLLOW_MAX_BYTES
from tests.attacks.key_updates import KeyUpdates
from tests.fakes.workers import InPlace
from tests.integration.api import real_api
from tests.patience import PATIENCE_S

SOCKET_BYTES = 4 * 1024 * 1024
"""What the sockets' buffers take before the sender notices that nobody reads."""

MANY, FEW = 1200, 700
"""Key updates of 27 bytes: as many as are read at once, and fewer than are allowed between two answers."""

HEAD = b"GET /sign-in HTTP/1.1\r\nHost: m\r\n"


def flood(port: int, begin: bytes) -> int:
    """Send key updates until the manager ends the connection; return how many bytes it took, buffers included."""
    peer = KeyUpdates(port, PATIENCE_S)
    try:
        sent = peer.send(begin) if begin else 0
        while sent < 100 * SOCKET_BYTES:
            sent += peer.update(MANY)
    except OSError:
        return sent
    finally:
        peer.close()
    raise AssertionError("it was never cut off")


async def test_key_updates_without_end_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    decrypted: list[int] = []
    note = seats._Watched.note_decrypted

    def spy(watched: seats._Watched, total_bytes: int) -> None:
        decrypted.append(total_bytes)
        note(watched, total_bytes)

    monkeypatch.setattr(seats._Watched, "note_decrypted", spy)
    async with real_api(tmp_path, InPlace(), watched=False) as api:
        for begin in (b"", HEAD):
            sent = await asyncio.to_thread(flood, api.server.port, begin)
            print(f"{sent} bytes were taken by the sockets and the manager, {HOLLOW_MAX_BYTES} are allowed")
            assert sent < HOLLOW_MAX_BYTES + SOCKET_BYTES
        assert api.server.seats.refused[HOLLOW] == 2
    # of what was read at once, the manager looked at no more than this
    assert max(decrypted) <= HOLLOW_MAX_BYTES + PIECE_BYTES + 2 * len(HEAD)


def ask(port: int, times: int) -> list[int]:
    """Send as many key updates as are allowed and then a request, so often; return how many bytes came back each time."""
    peer = KeyUpdates(port, PATIENCE_S)
    try:
        came = []
        for _ in range(times):
            assert peer.update(FEW) < HOLLOW_MAX_BYTES
            peer.send(HEAD + b"\r\n")
            came.append(len(peer.receive()))
        return came
    finally:
        peer.close()


async def test_key_updates_of_a_client_that_asks_as_well_are_allowed(tmp_path: Path):
    async with real_api(tmp_path, InPlace(), watched=False) as api:
        came = await asyncio.to_thread(ask, api.server.port, 3)
        assert min(came) > 0
        assert api.server.seats.refused[HOLLOW] == 0
