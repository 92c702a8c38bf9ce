"""Configuration check: finds faults on the node that would fail the next installation or the next start.

Checks what the node's administrator owns: the services file on disk (loaded or not), the programs, units and
directories that it names, and the node's identity. Changes nothing, so it may run beside an agent.
Invariant: each fault names the file and the remedy, and fits into a report.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from common.codes import ConfigurationCode
from common.errors import CertcastError, InstallError, Reason
from common.runtime import trusted
from common.runtime.trusted_program import check_command
from common.wire.messages import CONFIGURATION_FAULTS_MAX, ConfigurationFault
from nodeagent.channel import identity
from nodeagent.core.services import ChallengePlace, Consumer, Services
from nodeagent.core.servicesfile import ServicesError
from nodeagent.install.challengefiles import check_place
from nodeagent.install.copies import check_copies
from nodeagent.install.units import unit_states
from nodeagent.settings import load_services

FAULT_MAX_CHARS: Final = 240
"""So that a report with as many faults, endpoints and waits as there may be fits into one frame."""


async def find_faults(
    *, services_file: Path, data: Path, in_use: Services | None = None
) -> list[ConfigurationFault]:
    """Return the faults. If the file cannot be used, checks the services `in_use` instead."""
    services, faults = in_use or Services(), []
    try:
        services, _ = await asyncio.to_thread(load_services, services_file)
    except ServicesError as error:
        faults += [
            fault(ConfigurationCode.SERVICES_INVALID, f"{services_file}: {mistake}")
            for mistake in error.mistakes
        ]
    faults += await asyncio.to_thread(_identity_faults, data)
    faults += await asyncio.to_thread(_program_faults, services.consumers)
    faults += await asyncio.to_thread(_copy_faults, services.consumers, data)
    faults += await asyncio.to_thread(_challenge_faults, services.challenges, data)
    faults += await _unit_faults(services.consumers)
    if len(faults) > CONFIGURATION_FAULTS_MAX:
        more = len(faults) - CONFIGURATION_FAULTS_MAX + 1
        faults[CONFIGURATION_FAULTS_MAX - 1 :] = [
            fault(ConfigurationCode.SERVICES_INVALID, f"and {more} more")
        ]
    return faults


def fault(code: ConfigurationCode, message: str) -> ConfigurationFault:
    """Return a fault, cut to what a report holds."""
    text = " ".join(message.split())
    return ConfigurationFault(
        code=code, message=text if len(text) <= FAULT_MAX_CHARS else text[: FAULT_MAX_CHARS - 1] + "…"
    )


def _identity_faults(data: Path) -> Iterable[ConfigurationFault]:
    try:
        identity.load(data)
    except CertcastError as error:
        yield fault(
            ConfigurationCode.IDENTITY, f"after a restart the agent could not sign in: {error.message}"
        )


def _program_faults(consumers: Iterable[Consumer]) -> Iterable[ConfigurationFault]:
    for consumer in consumers:
        for what, argv in (("reload", consumer.reload), ("start", consumer.start)):
            if not argv:
                continue
            try:
                check_command(argv)
            except trusted.UntrustedPathError as error:
                yield fault(
                    ConfigurationCode.PROGRAM_UNTRUSTED,
                    f"consumer '{consumer.name}': {what}: {error.strerror}",
                )
            except OSError:
                yield fault(
                    ConfigurationCode.PROGRAM_MISSING,
                    f"consumer '{consumer.name}': {what}: {argv[0]} is not a program on this node",
                )


def _copy_faults(consumers: Iterable[Consumer], data: Path) -> Iterable[ConfigurationFault]:
    for consumer in consumers:
        for copy in consumer.copies:
            try:
                check_copies([copy], data)
            except InstallError as error:
                if error.reason != Reason.NO_SPACE:
                    yield fault(ConfigurationCode.COPY_TARGET, f"consumer '{consumer.name}': {error.message}")


def _challenge_faults(place: ChallengePlace | None, data: Path) -> Iterable[ConfigurationFault]:
    if place is None or place.directory is None:
        return
    try:
        check_place(place.directory, data)
    except InstallError as error:
        yield fault(ConfigurationCode.CHALLENGES, error.message)


async def _unit_faults(consumers: Iterable[Consumer]) -> list[ConfigurationFault]:
    named = {consumer.name: consumer.unit for consumer in consumers if consumer.unit is not None}
    states = await unit_states(named.values())
    return [
        fault(ConfigurationCode.UNIT_MISSING, f"consumer '{name}': systemd knows no unit {unit}")
        for name, unit in named.items()
        if states.get(unit) == "missing"
    ]
