"""Inventory: a decoded snapshot of everything in the store that certificates are judged by.

Decides a certificate's statuses, chain of trust and findings. Invariant: an inventory never changes, except
that it caches chains. So a list, an alarm and a push with the same one never contradict each other.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Final

from common.bundle.manifest import Slot
from common.ids import CertificateId, Fingerprint, NodeName, TrustedCaId
from common.pki.certificate import Certificate
from common.pki.finding import Finding
from common.pki.path import Purpose, allows
from common.pki.strict import StrictClient, Verdict
from manager.domain.entryindex import EntryIndex
from manager.domain.inventory_steps import InventoryStep, leading_from
from manager.domain.model import AssignmentRecord, NodeRecord, TrustedCaRecord
from manager.pki.chain.chain import Chain, build_chain
from manager.pki.chain.search import Issuers
from manager.pki.judge.headline import Headline, headline
from manager.pki.judge.identity import has_same_identity, key_of
from manager.pki.judge.lint import Circumstances, covers, lint
from manager.pki.judge.status import Status, statuses

NAMED_MAX: Final = 5
"""Certificates named by a finding; beyond that it has their count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A TLS certificate of the store, decoded.

    `uploaded` are its accompanying certificates, in their order; `places` are its assignments. `refused` has
    those that OpenSSL cannot load, with reasons: they are stored but held out of bundles.
    """

    id: CertificateId
    leaf: Certificate
    uploaded: tuple[Certificate, ...]
    temporary: bool
    created_s: float
    changed_s: float
    places: tuple[AssignmentRecord, ...] = ()
    refused: Mapping[Fingerprint, str] = field(default_factory=dict)

    @property
    def is_held_out(self) -> bool:
        """Whether nodes do not get it, because their services could not load it."""
        return self.leaf.fingerprint in self.refused

    @property
    def label(self) -> str:
        """Name that tells apart two certificates of one subject."""
        return f"{self.leaf.display_name} (certificate {self.id})"

    @property
    def purpose(self) -> Purpose:
        """Return the purpose that its chain is judged for: servers, unless only clients can use or show it."""
        slots = {place.slot for place in self.places}
        if slots:
            return Purpose.CLIENT if slots == {"client"} else Purpose.SERVER
        only_client = allows(self.leaf, Purpose.CLIENT) and not allows(self.leaf, Purpose.SERVER)
        return Purpose.CLIENT if only_client else Purpose.SERVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Judgement of a certificate. `verdict` is a strict client's, or a server's if its `purpose` is a client's."""

    statuses: Sequence[Status]
    chain: Chain
    verdict: Verdict
    purpose: Purpose
    findings: Sequence[Finding]

    @property
    def headline(self) -> Headline:
        """Return the most important statement."""
        return headline(self.statuses, self.chain.state, self.findings)


@dataclass(slots=True)
class Trust:
    """Snapshot of the trust store: custom CAs by id, and the built-in list.

    `held_out` are the custom CAs that OpenSSL cannot load, with reasons: they are stored and shown, but are
    in no bundle or chain.
    """

    custom: Mapping[TrustedCaId, Certificate]
    builtin: Sequence[Certificate]
    held_out: Mapping[TrustedCaId, str] = field(default_factory=dict)
    issuers: Issuers = field(init=False, repr=False)
    _strict: StrictClient | None = field(default=None, init=False, repr=False)
    _public: frozenset[Certificate] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        roots = [one for one in self._used() if one.is_self_signed]
        intermediates = [one for one in self._used() if not one.is_self_signed]
        self.issuers = Issuers(trusted=(*roots, *self.builtin), intermediates=intermediates)

    @property
    def strict(self) -> StrictClient:
        """Return a client that trusts every root; created on first use."""
        if self._strict is None:
            self._strict = StrictClient(one for one in (*self._used(), *self.builtin) if one.is_self_signed)
        return self._strict

    @property
    def public(self) -> frozenset[Certificate]:
        """Return the built-in list as a set."""
        if self._public is None:
            self._public = frozenset(self.builtin)
        return self._public

    def having_key(self, public_key_id: str | None) -> Sequence[str]:
        """Return the names of the custom CAs with this key."""
        return [
            one.label for one in self.custom.values() if public_key_id and one.public_key_id == public_key_id
        ]

    def _used(self) -> Sequence[Certificate]:
        return [one for number, one in self.custom.items() if number not in self.held_out]

    def changed(self, *, gone: Container[TrustedCaId] = (), new: Iterable[Certificate] = ()) -> "Trust":
        """Return a trust store without the custom CAs `gone`, and with `new` ones that OpenSSL can load."""
        stay = {number: one for number, one in self.custom.items() if number not in gone}
        held = set(stay.values())
        more = [one for one in dict.fromkeys(new) if one not in held]
        return Trust(
            {**stay, **{TrustedCaId(-number): one for number, one in enumerate(more, start=1)}},
            self.builtin,
            self.held_out,
        )

    def differing_names(self, other: "Trust") -> frozenset[bytes]:
        """Return the names of CAs that only one of the two contains."""
        mine = {*self.custom.values(), *self.builtin}
        theirs = {*other.custom.values(), *other.builtin}
        return frozenset(one.subject_id for one in mine ^ theirs)


_SERIALS = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Inventory. `slots` has the certificate of each node slot, unordered.

    `noted` counts node changes that left content unchanged; `steps` lead here from earlier inventories.
    """

    revision: int
    entries: Mapping[CertificateId, Entry]
    trusted_cas: Mapping[TrustedCaId, TrustedCaRecord]
    nodes: Mapping[NodeName, NodeRecord]
    slots: Mapping[tuple[NodeName, Slot], CertificateId]
    trust: Trust
    noted: int = field(default=0, compare=False)
    serial: int = field(default_factory=partial(next, _SERIALS), compare=False)
    steps: Sequence[InventoryStep] = field(default=(), compare=False, repr=False)
    chains: dict[CertificateId, Chain] = field(default_factory=dict, repr=False)
    _by_leaf: dict[str, Entry] = field(default_factory=dict, repr=False)
    by_key: EntryIndex[Entry] = field(
        default_factory=lambda: EntryIndex(_key_word), compare=False, repr=False
    )
    by_serial: EntryIndex[Entry] = field(
        default_factory=lambda: EntryIndex(_serial_word), compare=False, repr=False
    )

    @property
    def by_leaf(self) -> Mapping[str, Entry]:
        """Certificates by fingerprint; computed once."""
        if not self._by_leaf:
            self._by_leaf.update({entry.leaf.fingerprint: entry for entry in self.entries.values()})
        return self._by_leaf

    def chain(self, certificate_id: CertificateId, *, now_s: int) -> Chain:
        """Return a certificate's chain of trust; cached until it may have changed."""
        known = self.chains.get(certificate_id)
        if known is None or now_s >= known.recheck_at_s:
            entry = self.entries[certificate_id]
            known = self.chain_of(entry, now_s=now_s)
            self.chains[certificate_id] = known
        return known

    def statuses(self, certificate_id: CertificateId, *, now_s: int) -> Sequence[Status]:
        """Return a certificate's statuses, the leading one first."""
        return statuses(self.entries[certificate_id].leaf, now_s=now_s)

    def judge(self, certificate_id: CertificateId, *, now_s: int) -> Judgement:
        """Return the judgement of a certificate."""
        return self.judge_entry(
            self.entries[certificate_id], self.chain(certificate_id, now_s=now_s), now_s=now_s
        )

    def judge_new(self, entry: Entry, *, now_s: int) -> Judgement:
        """Return the judgement of a certificate that is not in this inventory."""
        return self.judge_entry(entry, self.chain_of(entry, now_s=now_s), now_s=now_s)

    def with_trust(self, trust: Trust) -> "Inventory":
        """Return an inventory whose chains are built with another trust store."""
        return replace(self, trust=trust, chains={})

    def chain_of(self, entry: Entry, *, now_s: int) -> Chain:
        """Return the chain of trust of an entry that is not, or differs from, one in this inventory."""
        return build_chain(
            entry.leaf,
            self.trust.issuers,
            uploaded=[one for one in entry.uploaded if one.fingerprint not in entry.refused],
            now_s=now_s,
            purpose=entry.purpose,
        )

    def judge_entry(self, entry: Entry, chain: Chain, *, now_s: int) -> Judgement:
        """Return the judgement of an entry with its chain of trust."""
        return Judgement(
            statuses=statuses(entry.leaf, now_s=now_s),
            chain=chain,
            verdict=self._verdict(entry, chain, now_s=now_s),
            purpose=entry.purpose,
            findings=self._findings(entry, chain, now_s=now_s),
        )

    def _verdict(self, entry: Entry, chain: Chain, *, now_s: int) -> Verdict:
        """Verify for every name of its nodes that clients use, or else the certificate's first name."""
        strict, purpose = self.trust.strict, entry.purpose
        verdict = strict.ask(entry.leaf, chain.serving, now_s=now_s, purpose=purpose)
        if not verdict.accepted or purpose is Purpose.CLIENT:
            return verdict
        for name in self._names(entry, "server"):
            # a large fleet has thousands of names; a mismatch needs no verifier
            if not covers(entry.leaf, name):
                return Verdict(accepted=False, reason=f"it is not valid for the name {name}")
        return verdict

    def _names(self, entry: Entry, slot: Slot) -> Sequence[str]:
        places = [place for place in entry.places if place.slot == slot]
        return list(dict.fromkeys(name for place in places for name in self.nodes[place.node].client_names))

    def findings(self, certificate_id: CertificateId, *, now_s: int) -> Sequence[Finding]:
        """Return further findings about a certificate."""
        return self._findings(
            self.entries[certificate_id], self.chain(certificate_id, now_s=now_s), now_s=now_s
        )

    def _findings(self, entry: Entry, chain: Chain, *, now_s: int) -> Sequence[Finding]:
        circumstances = Circumstances(
            slots=frozenset(place.slot for place in entry.places),
            node_names=self._names(entry, "server"),
            client_names=self._names(entry, "client"),
            key_shared_by=self._sharing(entry),
            chain=chain,
            has_public_root=chain.reaches_root and chain.links[-1].certificate in self.trust.public,
            ca_key_of=self.trust.having_key(entry.leaf.public_key_id),
            unloadable=[
                (one.label, entry.refused[one.fingerprint])
                for one in (entry.leaf, *entry.uploaded)
                if one.fingerprint in entry.refused
            ],
        )
        return lint(entry.leaf, now_s=now_s, circumstances=circumstances)

    def namesakes(self, leaf: Certificate) -> list[Entry]:
        """Return the entries with a certificate's issuer and serial number, those with its key first."""
        known = self.by_serial.of(_serial_word(leaf), self.entries.values())
        found = [each for each in known if has_same_identity(each.leaf, leaf)]
        return sorted(found, key=lambda each: key_of(each.leaf) != key_of(leaf))

    def carry_chains(self, earlier: "Inventory") -> None:
        """Adopt cached chains that cannot have changed: same entry, and same CAs of the names it looked up."""
        names = self.trust.differing_names(earlier.trust)
        for certificate_id, chain in dict(earlier.chains).items():  # another thread may be adding to it
            mine, theirs = self.entries.get(certificate_id), earlier.entries.get(certificate_id)
            if mine is None or theirs is None or (names and names & chain.looked_for):
                continue
            if _has_chain_of(mine, theirs):
                self.chains[certificate_id] = chain

    def take_over(self, earlier: "Inventory", step: InventoryStep) -> None:
        """Adopt the cache of an earlier inventory that this single step leads from."""
        former = [earlier.entries[number] for number in step.numbers if number in earlier.entries]
        present = [self.entries[number] for number in step.numbers if number in self.entries]
        self.by_key.take_over(earlier.by_key, former, present)
        self.by_serial.take_over(earlier.by_serial, former, present)
        if step.has_other_trust:
            self.carry_chains(earlier)
            return
        self.chains.update(earlier.chains)
        for number in step.numbers:
            chain = self.chains.pop(number, None)
            mine, theirs = self.entries.get(number), earlier.entries.get(number)
            if chain is not None and mine is not None and theirs is not None and _has_chain_of(mine, theirs):
                self.chains[number] = chain

    def since(self, earlier: "Inventory") -> InventoryStep | None:
        """Return what may differ from an earlier inventory; None if unknown."""
        return leading_from(earlier.serial, (*self.steps, InventoryStep(serial=self.serial)))

    def sharing(self, entry: Entry) -> Sequence[Entry]:
        """Return the entries with its key, including itself."""
        key = _key_word(entry.leaf)
        return self.by_key.of(key, self.entries.values()) if key else ()

    def _sharing(self, entry: Entry) -> list[str]:
        others = [other for other in self.sharing(entry) if other.id != entry.id]
        more = [f"{len(others) - NAMED_MAX} more"] if len(others) > NAMED_MAX else []
        return [*(other.label for other in others[:NAMED_MAX]), *more]


def _has_chain_of(mine: Entry, theirs: Entry) -> bool:
    # nearly all are the very same object, and there may be ten thousand
    same = mine is theirs or (mine.leaf == theirs.leaf and mine.uploaded == theirs.uploaded)
    return same and (mine is theirs or mine.purpose is theirs.purpose)


def _key_word(leaf: Certificate) -> str:
    return leaf.public_key_id or ""


def _serial_word(leaf: Certificate) -> str:
    return leaf.serial_no


def assign(
    entries: Mapping[CertificateId, Entry], places: Iterable[AssignmentRecord], nodes: Container[NodeName]
) -> tuple[dict[CertificateId, Entry], dict[tuple[NodeName, Slot], CertificateId]]:
    """Add assignments to entries; return the entries by id, and the certificate of each slot.

    Skips assignments of missing entries, which were read a moment later.
    """
    by_certificate: dict[CertificateId, list[AssignmentRecord]] = {}
    slots: dict[tuple[NodeName, Slot], CertificateId] = {}
    for place in places:
        if place.certificate_id not in entries or place.node not in nodes:
            continue
        by_certificate.setdefault(place.certificate_id, []).append(place)
        slots[place.node, place.slot] = place.certificate_id
    found = dict(entries)
    for entry in entries.values():
        if entry.places or entry.id in by_certificate:
            wanted = tuple(by_certificate.get(entry.id, ()))
            if entry.places != wanted:
                found[entry.id] = replace(entry, places=wanted)
    return found, slots
