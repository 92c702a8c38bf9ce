"""Read what is live, without a pause, while a thousand generations are installed.

A reader that resolves `current` once (opens the directory, and the files below it) sees one generation, always. A reader that
goes through the link for each file may meet a swap between two of them; README says what that means for a service.
"""

import asyncio
import json
import mmap
import os
import signal
import stat
import struct
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.bundle.build import Bundle
from nodeagent.core.retention import GRACE_S
from nodeagent.install.state import NodeState
from nodeagent.install.upkeep import Upkeep
from tests.crash.node import NEW, OLD, Node
from tests.integration.agent_parts import install
from tests.patience import PATIENCE_S, exit_code

INSTALLS = 1000
COUNT = struct.Struct("=Q")
KEPT_MAX = 50
"""Old ones go after each twentieth installation; those that a reader may have open stay."""


def bodies(bundle: Bundle, name: str) -> bytes:
    return bundle.payloads[bundle.manifest.by_path()[f"server/{name}"].digest]


PAIRS = {bodies(one, "certificate.pem"): bodies(one, "privkey.pem") for one in (OLD, NEW)}
COMBINED = {bodies(one, "combined.pem") for one in (OLD, NEW)}


def read(path: str, directory: int | None, seen: dict[str, int]) -> bytes:
    descriptor = os.open(path, os.O_RDONLY, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        seen["wide"] += mode != (0o644 if path.endswith("certificate.pem") else 0o600)
        return file.read()


def look(live: Path, seen: dict[str, int]) -> None:
    """Read the pair below one directory, the pair through the link, and the one file that holds both."""
    directory = os.open(live / "server", os.O_RDONLY | os.O_DIRECTORY)
    try:
        leaf = read("certificate.pem", directory, seen)
        seen["mismatched"] += PAIRS[leaf] != read("privkey.pem", directory, seen)
    finally:
        os.close(directory)
    seen["mismatched"] += read(str(live / "server/combined.pem"), None, seen) not in COMBINED
    leaf = read(str(live / "server/certificate.pem"), None, seen)
    seen["straddled"] += PAIRS[leaf] != read(str(live / "server/privkey.pem"), None, seen)
    seen["looks"] += 1


def read_until_stopped(live: Path, results: int, began: mmap.mmap) -> None:
    """Look again and again in this child, and write what was seen to `results`; `began` counts the looks that were begun."""
    seen = dict.fromkeys(("looks", "mismatched", "straddled", "missing", "wide"), 0)
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(1))
    while not over:
        began[:] = COUNT.pack(COUNT.unpack(began[:])[0] + 1)
        try:
            look(live, seen)
        except FileNotFoundError:
            seen["missing"] += 1
    os.write(results, json.dumps(seen).encode())


@pytest.mark.timeout(180)
def test_a_reader_never_sees_a_mixture_a_gap_or_a_wider_mode(memory, say):
    (memory / "count").touch()
    node = Node(memory)
    read_end, write_end = os.pipe()

    began = mmap.mmap(-1, COUNT.size)
    readers: list[int] = []

    async def collect(state: NodeState) -> None:
        """Let everything go that was superseded before the reader began its present look."""
        live_since_s = state.tree.names()[state.tree.live()]
        (looks,) = COUNT.unpack(began[:])
        async with asyncio.timeout(PATIENCE_S):
            while COUNT.unpack(began[:])[0] == looks:  # noqa: ASYNC110 - the reader is another process
                await asyncio.sleep(0.001)
        clock, state.clock = state.clock, lambda: live_since_s + GRACE_S
        try:
            await Upkeep(state).turn()
        finally:
            state.clock = clock

    async def install_many() -> None:
        state = await node.open()
        assert (await install(state, OLD)).result == "applied"
        reader = os.fork()
        if reader == 0:
            try:
                read_until_stopped(node.data / "current", write_end, began)
            finally:
                os._exit(0)
        readers.append(reader)
        for number in range(2, INSTALLS + 2):
            bundle = (OLD, NEW)[number % 2]
            manifest = replace(bundle.manifest, generation=number)
            assert (await install(state, Bundle(manifest, bundle.payloads))).result == "applied"
            if number % 20 == 0:
                await collect(state)
        assert len(state.tree.names()) < KEPT_MAX

    started_s = time.monotonic()
    try:
        with node.service():
            asyncio.run(install_many())
    finally:
        lasted_s = time.monotonic() - started_s
        for reader in readers:
            os.kill(reader, signal.SIGTERM)
            assert exit_code(reader) == 0
    seen = json.loads(os.read(read_end, 4096))
    os.close(read_end)
    os.close(write_end)
    say(
        f"reader: {seen['looks'] / lasted_s:.0f} looks a second during {INSTALLS} installations: {seen}",
        started_s,
    )
    assert (seen["mismatched"], seen["missing"], seen["wide"]) == (0, 0, 0)
    assert seen["looks"] > INSTALLS
