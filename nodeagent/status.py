"""`certcast-nodeagent status`: the installed files and each port's certificate, from the disk and the ports alone.

Decides nothing and changes nothing, so it may run beside the agent.
"""

import asyncio
import time
from pathlib import Path

from common.bundle.manifest import Manifest
from common.errors import CertcastError, InvalidInputError, Reason
from common.words import span_of
from nodeagent.core.drift import Ownership, find_drift
from nodeagent.core.journal import Journal
from nodeagent.core.plan import settled_copies
from nodeagent.core.quarantine import WHAT
from nodeagent.core.served import mismatch
from nodeagent.core.services import Services
from nodeagent.core.servicesfile import ServicesError, salvage_services
from nodeagent.install.copies import drift_of_copies
from nodeagent.install.journalfile import load_journal
from nodeagent.install.lastgood import read_last_good
from nodeagent.install.probe import Prober
from nodeagent.install.tree import Tree
from nodeagent.settings import ACCOUNTS, load_services, owners_for


async def describe(data: Path, services_file: Path) -> tuple[str, bool]:
    """Return the text, and whether everything is right. Raises CertcastError if the status cannot be determined."""
    services, owners, mistakes = await asyncio.to_thread(_services_in_use, data, services_file)
    journal = await load_journal(data, aside=False)
    if journal is None:
        raise CertcastError(f"nothing is installed below {data} yet, or its journal is damaged")
    tree = Tree(data, owners)
    lines = [*mistakes, *_applied(journal)]
    manifest = await asyncio.to_thread(tree.manifest, journal.directory) if journal.directory else None
    if manifest is None:
        return "\n".join([*lines, "files        none that can be read"]), False
    files, are_right = await asyncio.to_thread(_files, tree, journal, manifest, services)
    ports, are_shown = await _ports(tree, journal, manifest, services)
    is_proven = journal.applied is not None and journal.unproven is None and not _is_refused(journal)
    lines += [*files, *_waiting(journal), *ports]
    return "\n".join(lines), are_right and are_shown and is_proven and not mistakes


def _files(tree: Tree, journal: Journal, manifest: Manifest, services: Services) -> tuple[list[str], bool]:
    """Return what is to be said of the live tree and the copies, and whether they are right. For a thread."""
    listing = tree.listing(journal.directory)
    drifts = find_drift(listing, manifest, directory=journal.directory, owners=tree.owners)
    shown = ", ".join(f"{drift.what} of {drift.path}" for drift in drifts[:5])
    copies = drift_of_copies(settled_copies(services.consumers, manifest, journal.loaded), manifest)
    lines = [
        f"files        {f'changed: {shown}' if drifts else 'as they were installed'}",
        *(f"{slot:<12} leaf {facts.leaf}" for slot, facts in manifest.slots.items()),
        *(f"copy         {drift.what} of {drift.path}" for drift in copies),
    ]
    return lines, not drifts and not copies


def _waiting(journal: Journal) -> list[str]:
    return [
        f"{name:<12} its reload waits since {time.strftime('%Y-%m-%d %H:%M', time.localtime(since_s))}"
        for name, since_s in journal.waiting.items()
    ]


async def _ports(
    tree: Tree, journal: Journal, manifest: Manifest, services: Services
) -> tuple[list[str], bool]:
    """Return what each port serves, and whether that is what is installed."""
    lines, is_right = [], True
    what = "what is installed" if journal.applied is not None else "what is there, which was never proven,"
    wanted = await asyncio.to_thread(tree.wanted, journal.directory, manifest, before=journal.previous)
    for seen in await Prober().probe(services.consumers, wanted):
        wrong = mismatch(seen, wanted)
        is_right = is_right and wrong is None and (seen.ends_s is not None or not seen.leaf)
        left = (
            f"valid for {span_of(seen.ends_s - time.time())}"
            if seen.ends_s is not None
            else "whose validity cannot be read"
        )
        text = wrong.message if wrong is not None else f"serves {what} over {seen.tls}, {left}"
        lines.append(f"{seen.consumer:<12} {seen.endpoint}: {text}")
    return lines, is_right


def _services_in_use(data: Path, services_file: Path) -> tuple[Services, Ownership, list[str]]:
    """Return what the agent goes by, and what is wrong with the file. Raises InvalidInputError if no good one is known."""
    try:
        return *load_services(services_file), []
    except ServicesError as error:
        if (kept := read_last_good(data)) is None:
            raise InvalidInputError("services", f"{services_file}: {error.message}") from error
        services, _ = salvage_services(kept, ACCOUNTS)
        mistake = (
            f"services     {services_file}: {error.message}; the following is based on the last good one"
        )
        return services, owners_for(services.secret_gid), [mistake]


def _is_refused(journal: Journal) -> bool:
    """Whether a part of what is applied was refused, and not only because it is not valid yet."""
    failed = journal.last_failed
    return journal.is_partial and (failed is None or failed.reason != Reason.NOT_YET_VALID)


def _applied(journal: Journal) -> list[str]:
    applied, failed, attempt = journal.applied, journal.last_failed, journal.attempt
    what = (
        f"generation {applied.generation} of epoch {applied.epoch}" if applied is not None else "nothing yet"
    )
    if applied is not None and journal.is_partial:
        parts = " and ".join(words for part, words in WHAT.items() if part in journal.refused)
        what += f" in part, without {parts or 'what was refused'}"
    lines = [f"applied      {what}"]
    if attempt is not None:
        lines.append(f"installing   generation {attempt.version.generation} ({journal.state})")
    if failed is not None:
        lines.append(
            f"last failed  generation {failed.generation} ({failed.reason}, {failed.phase}): {failed.message}"
        )
    return lines
