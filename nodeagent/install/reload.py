"""Reload commands of consumers, each run once.

Decides which exits are failures. Leaves to the probe whether the reload took effect: an exit status of 0 is no
proof.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from common.errors import InstallError, Reason
from common.runtime.run_program import SHARED, CompletedProgram, failure_text, run_checked
from common.runtime.trusted_program import check_command
from nodeagent.core.services import Consumer

log = structlog.get_logger(__name__)


class ReloadError(InstallError):
    """A reload failed: RELOAD_FAILED (not started, or exit not 0) or RELOAD_TIMEOUT (killed). Has its `output`."""

    def __init__(self, message: str, *, reason: Reason, output: str = "") -> None:
        super().__init__(message, reason=reason)
        self.output = output


async def reload_consumer(consumer: Consumer, data: Path) -> CompletedProgram:
    """Reload it once. Raises ReloadError."""
    return await _run_for(consumer, "reload", consumer.reload, data)


async def start_consumer(consumer: Consumer, data: Path) -> CompletedProgram:
    """Run its `start` once. Raises ReloadError."""
    return await _run_for(consumer, "start", consumer.start, data)


async def _run_for(consumer: Consumer, what: str, argv: Sequence[str], data: Path) -> CompletedProgram:
    try:
        path = await asyncio.to_thread(check_command, argv)
        # files made by a service's own command are for the service, not our secrets
        ran = await run_checked(argv, consumer.timeout_s, directory=data, path=path, umask=SHARED)
    except OSError as error:
        raise ReloadError(
            f"the {what} of '{consumer.name}' could not be run: {argv[0]}: {error.strerror}",
            reason=Reason.RELOAD_FAILED,
        ) from error
    log.debug(
        "reload.ran",
        consumer=consumer.name,
        status=ran.status,
        duration_ms=ran.duration_ms,
        message=ran.output[-200:],
    )
    if ran.status is None:
        raise ReloadError(
            f"the {what} of '{consumer.name}' did not end within {consumer.timeout_s:g} s and was killed",
            reason=Reason.RELOAD_TIMEOUT,
            output=ran.output,
        )
    if ran.status != 0:
        raise ReloadError(
            failure_text(f"the {what} of '{consumer.name}'", ran.status, ran.output),
            reason=Reason.RELOAD_FAILED,
            output=ran.output,
        )
    return ran
