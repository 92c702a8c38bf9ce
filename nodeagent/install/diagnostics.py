"""Diagnostics of a failed installation: the state of the node at that time, for people.

Decides the content and its order: the reloads' output, the ports' certificates, the files with their modes, and the
last lines of the services' journals. Leaves out the content of the files.
Invariant: contains no private key, and fits into the protocol's limit.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from common.runtime.log import hide_private_keys_in
from common.runtime.run_program import run_program
from common.runtime.trusted import ROOT_DIRECTORY
from common.wire.messages import DIAGNOSTICS_MAX_BYTES
from nodeagent.core.drift import Seen
from nodeagent.core.services import Consumer

JOURNALCTL: Final = "/usr/bin/journalctl"
JOURNAL_LINES: Final = 30
JOURNAL_TIMEOUT_S: Final = 3.0
PART_MAX_CHARS: Final = 2500
"""The limit per command, so that the first command's output does not crowd out the others."""

CUT: Final = "\n[cut]"


async def compose(
    *, outputs: Iterable[str], notes: Sequence[str], files: Iterable[Seen], consumers: Iterable[Consumer]
) -> str:
    """Return the text. `outputs` come from reloads, `notes` from the prober."""
    parts = [
        *(f"reload of {hide_private_keys_in(one)[:PART_MAX_CHARS]}" for one in outputs),
        "ports:\n" + "\n".join(notes or ["none was probed"]),
        "files:\n" + "\n".join(_line(one) for one in files),
    ]
    units = dict.fromkeys(consumer.unit for consumer in consumers if consumer.unit is not None)
    parts += [f"journal of {unit}:\n{await _journal(unit)}" for unit in units]
    return _fitted("\n\n".join(parts))


async def _journal(unit: str) -> str:
    argv = (
        *(JOURNALCTL, "--unit", unit, "--lines", str(JOURNAL_LINES)),
        *("--no-pager", "--output", "short-iso", "--quiet"),
    )
    try:
        ran = await run_program(argv, JOURNAL_TIMEOUT_S, directory=ROOT_DIRECTORY)
    except OSError as error:
        return f"{JOURNALCTL}: {error.strerror}"
    return hide_private_keys_in(ran.output)[-PART_MAX_CHARS:] or "(nothing)"


def _line(seen: Seen) -> str:
    kind = "d" if seen.digest is None else "-" if seen.digest else "?"
    return f"{kind} {seen.mode:04o} {seen.uid}:{seen.gid} {seen.path}"


def _fitted(text: str) -> str:
    plain = text.encode("ascii", "backslashreplace").decode()
    if len(plain) <= DIAGNOSTICS_MAX_BYTES:
        return plain
    return plain[: DIAGNOSTICS_MAX_BYTES - len(CUT)] + CUT
