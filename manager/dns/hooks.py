"""Commands that change records, declared by the administrator of the manager's machine.

Decides what a command is given, and how its failure is reported. Leaves it to
`common.runtime.trusted_program` to check that nobody else could change it. Invariant: no shell is involved,
and the manager's environment stays hidden.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from common.runtime.log import hide_private_keys_in
from common.runtime.run_program import PRIVATE, run_checked
from common.runtime.trusted import ROOT_DIRECTORY
from common.runtime.trusted_program import check_command
from common.text import printable
from common.words import counted
from manager.dns.answers import shown
from manager.dns.settings import Hook
from manager.dns.updates import Record
from manager.usecases.renewal.ports import CaError

OUTPUT_SHOWN_MAX_CHARS: Final = 500
"""Characters of the command's last output, in a message."""

ALL_RUN_S: Final = 1800.0
"""Limit for all records of one order: half of the time for which a CA may validate what is shown."""


async def run_hook(hook: Hook, records: Sequence[Record], *, present: bool) -> None:
    """Run the command for each record, even after a failure; then raise the first CaError."""
    argv = hook.present if present else hook.cleanup
    failures: list[CaError] = []
    done = 0
    try:
        async with asyncio.timeout(ALL_RUN_S):
            for record in records:
                try:
                    await _run(argv, record, hook.timeout_s)
                except CaError as error:
                    failures.append(error)
                done += 1
    except TimeoutError:
        message = f"the command {argv[0]} was run for {done} of {counted(len(records), 'record')} in {ALL_RUN_S:g} s, and for no more"
        failures.append(CaError(message))
    if failures:
        raise failures[0]


async def _run(argv: Sequence[str], record: Record, timeout_s: float) -> None:
    name = shown(record.target)
    what = f"the command {argv[0]} for {name}"
    try:
        path = await asyncio.to_thread(check_command, argv)
        given = (*argv, name, record.text)
        ran = await run_checked(given, timeout_s, directory=ROOT_DIRECTORY, path=path, umask=PRIVATE)
    except OSError as error:
        raise CaError(f"{what} could not be run: {error.strerror}", is_final=True) from error
    printed = _shown(ran.output)
    if ran.status is None:
        raise CaError(f"{what} did not end within {timeout_s:g} s and was killed{printed}")
    if ran.status != 0:
        how = f"exit status {ran.status}" if ran.status > 0 else f"signal {-ran.status}"
        raise CaError(f"{what} failed with {how}{printed}")


def _shown(output: str) -> str:
    text = printable(" / ".join(hide_private_keys_in(output).splitlines()))
    return f"; it printed: {text[-OUTPUT_SHOWN_MAX_CHARS:]}" if text else "; it printed nothing"
