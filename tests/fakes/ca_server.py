"""A CA in memory that signs real certificates, with the faults that real ones have; `tests.fakes.ca` asks it.

It does as Boulder does: a pending order of the same names and profile is given back, and an authorization that failed ends its order. `killer` is asked before
and after each act, so that a test can end the manager there. What it was asked that no CA likes is in `offences`.
"""

import datetime as dt
import ipaddress
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from common.pki.certificate import decode
from manager.domain.renewal.moments import Window, ari_id
from manager.domain.renewal.records import Proof
from manager.usecases.renewal.ports import CaError
from tests.fakes.showing import ModelShowing
from tests.pki import Made, make_intermediate, make_key, make_root

BACKDATED_S = 3600
GRACE_S = 10.0
NETWORK = "the CA could not be reached"


class Killed(BaseException):
    """The manager was killed here."""


@dataclass
class ModelOrder:
    url: str
    account: str
    names: tuple[str, ...]
    profile: str
    replaces: str
    asked_s: float
    status: str = "pending"
    message: str = ""
    proven: dict[str, str] = field(default_factory=dict)
    proofs: dict[str, Proof] = field(default_factory=dict)
    request_pem: str = ""
    ready_s: float = 0.0
    chain: str = ""


@dataclass(frozen=True)
class Issued:
    """A certificate that was signed. `is_right` says that it is what was asked for."""

    names: tuple[str, ...]
    replaces: str
    at_s: float
    ends_s: float
    identifier: str
    is_right: bool


@dataclass
class CaServer:
    """`lifetime_s` is that of what it signs, by the names. What is `to_fail` raises before it is done, what is `to_lose` afterwards."""

    now: Callable[[], float]
    showing: ModelShowing
    lifetime_s: Callable[[tuple[str, ...]], int] = lambda _names: 45 * 86400
    killer: Callable[[str], None] = lambda _where: None
    has_renewal_info: bool = True
    needs_binding: bool = False
    profiles: dict[str, str] = field(default_factory=dict)
    lists_orders: bool = False
    limit_an_hour: int = 300
    rests_s: float = 300.0
    processing_s: float = 0.0
    validation_s: float = 0.0
    window_at: float = 0.55
    poll_at_s: float = 11 * 3600.0
    is_down: Callable[[], bool] = lambda: False
    refuses: dict[str, CaError] = field(default_factory=dict)
    to_fail: list[tuple[str, Exception]] = field(default_factory=list)
    to_lose: list[str] = field(default_factory=list)
    unprovable: set[str] = field(default_factory=set)
    to_spoil: list[str] = field(default_factory=list)
    windows: dict[str, Window] = field(default_factory=dict)
    has_passed_windows: Callable[[Sequence[str]], bool] = lambda _names: False
    """Of which names a certificate's window has passed as soon as it is signed."""
    told: dict[str, tuple[Window, float]] = field(default_factory=dict)
    not_due_before_s: dict[str, float] = field(default_factory=dict)
    asked_window_s: dict[str, float] = field(default_factory=dict)
    unasked_most_s: float = 0.0
    orders: dict[str, ModelOrder] = field(default_factory=dict)
    by_authorization: dict[str, ModelOrder] = field(default_factory=dict)
    latest: dict[tuple[str, frozenset[str], str], ModelOrder] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    issued: list[Issued] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    failed_s: dict[tuple[str, ...], float] = field(default_factory=dict)
    not_before_s: dict[str, float] = field(default_factory=dict)
    limited_s: dict[str, float] = field(default_factory=dict)
    begun: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        far = int(self.now()) + 20 * 365 * 86400
        self.root: Made = make_root("Model Root", not_after_s=far)
        self.issuer: Made = make_intermediate(self.root, "Model Issuing", not_after_s=far)
        self._numbers = 0

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def enter(self, act: str) -> None:
        """Begin an act; the network or the CA may fail here."""
        self.asked[act] += 1
        self.killer(f"before {act}")
        if self.is_down():
            raise CaError(NETWORK)
        if self.to_fail and self.to_fail[0][0] == act:
            raise self.to_fail.pop(0)[1]

    def leave(self, act: str) -> None:
        """End an act that was done; its answer may be lost."""
        if self.to_lose and self.to_lose[0] == act:
            self.to_lose.pop(0)
            raise CaError(NETWORK)
        self.killer(f"after {act}")

    def begin(self, account: str, names: tuple[str, ...], profile: str, replaces: str) -> ModelOrder:
        """Give back the pending order of the same names and profile, or make one."""
        now_s, key = self.now(), tuple(sorted(names))
        # whoever was on the way then did not know
        if self.limited_s.get(account, 1e18) + GRACE_S < now_s < self.not_before_s.get(account, 0.0):
            self.offences.append(f"an order {self.not_before_s[account] - now_s:.0f} s before it was allowed")
        if now_s < self.failed_s.get(key, -1e18) + self.rests_s:
            self.offences.append(f"{names[0]} tried again {now_s - self.failed_s[key]:.0f} s after a failure")
        self._judge_moment(replaces, names, now_s)
        for name in names:
            if name in self.refuses:
                self.failed_s[key] = now_s
                raise self.refuses[name]
        self.begun = [each for each in self.begun if each > now_s - 3600]
        if len(self.begun) >= self.limit_an_hour:
            wait_s = self.begun[0] + 3601 - now_s
            self.limited_s.setdefault(account, now_s)
            if now_s >= self.not_before_s.get(account, 0.0):
                self.limited_s[account] = now_s
            self.not_before_s[account] = now_s + wait_s
            raise CaError(
                "the CA refused the order", type="rateLimited", detail="too many orders", retry_after_s=wait_s
            )
        known = self.pending(account, names, profile)
        if known is not None:
            return known
        self.begun.append(now_s)
        made = ModelOrder(
            url=f"https://ca/order/{self.number()}",
            account=account,
            names=names,
            profile=profile,
            replaces=replaces,
            asked_s=now_s,
            proven={f"https://ca/authz/{self.number()}/{name}": "pending" for name in names},
        )
        self.orders[made.url] = self.latest[account, frozenset(names), profile] = made
        self.by_authorization.update(dict.fromkeys(made.proven, made))
        return made

    def pending(self, account: str, names: Sequence[str], profile: str) -> ModelOrder | None:
        known = self.latest.get((account, frozenset(names), profile))
        return known if known is not None and known.status in {"pending", "ready"} else None

    def _judge_moment(self, replaces: str, names: tuple[str, ...], now_s: float) -> None:
        told = self.told.get(replaces)
        if told is not None and now_s < told[0].start_s:
            self.offences.append(f"{names[0]} renewed {told[0].start_s - now_s:.0f} s before its window")
        early_s = self.not_due_before_s.get(replaces, now_s) - now_s
        if told is None and early_s > 0:
            self.offences.append(f"{names[0]} renewed {early_s:.0f} s before it was due")

    def note_asked_window(self, identifier: str) -> None:
        """Remember for how long at most nobody has asked for a window, reached or not."""
        now_s = self.now()
        self.unasked_most_s = max(self.unasked_most_s, now_s - self.asked_window_s.get(identifier, now_s))
        self.asked_window_s[identifier] = now_s

    def spoil_order(self, made: ModelOrder, message: str) -> None:
        made.status, made.message = "invalid", message
        self.failed_s[tuple(sorted(made.names))] = self.now()

    def sign(self, made: ModelOrder) -> str:
        """Sign what was asked for, or, if that is to be spoilt, something else."""
        spoilt = self.to_spoil.pop(0) if self.to_spoil else ""
        if spoilt:
            self.failed_s[tuple(sorted(made.names))] = self.now()
        names = ("other.example.com",) if spoilt == "names" else made.names
        request = x509.load_pem_x509_csr(made.request_pem.encode())
        key = make_key().public_key() if spoilt == "key" else request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        now_s = int(self.now())
        begins, ends = now_s - BACKDATED_S, now_s - BACKDATED_S + self.lifetime_s(made.names) - 1
        leaf = sign(self.issuer, names, key, begins=begins, ends=ends)
        chain = leaf + self.issuer.certificate_pem
        decoded = decode(x509.load_pem_x509_certificate(leaf.encode()).public_bytes(Encoding.DER))
        identifier = ari_id(decoded.issuer_key_id, decoded.serial_no) or ""
        life_s = ends - begins + 1
        start_s = begins + self.window_at * life_s
        window = Window(start_s=start_s, end_s=start_s + life_s / 30)
        has_passed = self.has_passed_windows(names)
        self.windows[identifier] = moved(window, now_s - life_s) if has_passed else window
        self.issued.append(Issued(names, made.replaces, now_s, ends, identifier, not spoilt))
        return chain

    def duplicates(self) -> int:
        """Return how many certificates were signed for a need that had one already."""
        needs = Counter((tuple(sorted(each.names)), each.replaces) for each in self.issued if each.is_right)
        return sum(count - 1 for count in needs.values())


def sign(
    issuer: Made, names: Sequence[str], key: ec.EllipticCurvePublicKey, *, begins: int, ends: int
) -> str:
    """Return a certificate as PEM."""
    general: list[x509.GeneralName] = []
    for name in names:
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            general.append(x509.DNSName(name))
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.fromtimestamp(begins, tz=dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(ends, tz=dt.UTC))
        .add_extension(x509.SubjectAlternativeName(general), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def moved(window: Window, to_s: float) -> Window:
    """Return a window that a CA has moved, as it does before it revokes."""
    return replace(window, start_s=to_s, end_s=to_s + 60.0)
