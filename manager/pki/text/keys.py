"""Public keys and signature algorithms as OpenSSL prints them."""

from cryptography.hazmat.primitives.asymmetric import dsa

from common.pki import der
from common.pki.oids import CURVES, DIGESTS, algorithm_name
from common.pki.public_key import EC, RSA, read_public_key
from common.pki.signature import RSA_PSS
from manager.pki.text.names import object_name, octet_lines

UNLOADED = "Unable to load Public Key"

_OCTETS, _SIGNATURE_OCTETS = 15, 18
_ED25519, _ED448, _X25519, _X448, _DSA = (
    "1.3.101.112",
    "1.3.101.113",
    "1.3.101.110",
    "1.3.101.111",
    "1.2.840.10040.4.1",
)
_RAW = {_ED25519: "ED25519", _ED448: "ED448", _X25519: "X25519", _X448: "X448"}
_NIST = {
    "1.2.840.10045.3.1.1": "P-192",
    "1.3.132.0.33": "P-224",
    "1.2.840.10045.3.1.7": "P-256",
    "1.3.132.0.34": "P-384",
    "1.3.132.0.35": "P-521",
}
_DIGESTS = DIGESTS | {"2.16.840.1.101.3.4.2.7": "sha3-224"}
_KEY_DIGESTS = {
    "md5": "MD5",
    "sha1": "SHA1",
    "sha224": "SHA2-224",
    "sha256": "SHA2-256",
    "sha384": "SHA2-384",
    "sha512": "SHA2-512",
    "sha3-224": "SHA3-224",
    "sha3-256": "SHA3-256",
    "sha3-384": "SHA3-384",
    "sha3-512": "SHA3-512",
}
_PSS_DEFAULTS = ("sha1", "mgf1", "sha1", 20, 1)
_MGF1 = "1.2.840.113549.1.1.8"
_PRIME_FIELD = "1.2.840.10045.1.1"
_POINT_FORMS = {2: "compressed", 3: "compressed", 4: "uncompressed", 6: "hybrid", 7: "hybrid"}
_SMALL_BITS = 64


def key_algorithm(public_key: bytes) -> str:
    """Return the name of a public key's algorithm."""
    return algorithm_name(der.object_id(der.sequence(der.sequence(public_key, 1)[0].raw, 1)[0]))


def key_lines(public_key: bytes) -> list[str]:
    """Return the lines of a SubjectPublicKeyInfo, none where its key cannot be read."""
    try:
        algorithm, value = der.sequence(public_key, 2)[:2]
        parts = der.members(algorithm, der.SEQUENCE, 1)
        oid, parameters = der.object_id(parts[0]), parts[1] if len(parts) > 1 else None
        bits = der.bits(value)[1]
        if oid in {RSA, RSA_PSS}:
            return _rsa(bits, parameters, pss=oid == RSA_PSS)
        if oid == EC and parameters is not None:
            return _elliptic(public_key, bits, parameters)
        if oid in _RAW:
            return [f"{_RAW[oid]} Public-Key:", "pub:", *_indented(octet_lines(bits, _OCTETS))]
        if oid == _DSA and parameters is not None:
            return _dsa(public_key, parameters)
    except (der.DerError, ValueError):
        pass
    return []


def algorithm_lines(algorithm: bytes) -> list[str]:
    """Return a signature algorithm's name, and below it its parameters where they matter."""
    parts = der.sequence(algorithm, 1)
    oid = der.object_id(parts[0])
    lines = [algorithm_name(oid)]
    if oid == RSA_PSS:
        try:
            lines += _pss(parts[1] if len(parts) > 1 else None)
        except der.DerError:
            lines.append("(INVALID PSS PARAMETERS)")
    return lines


def signature_lines(algorithm: bytes, signature: bytes) -> list[str]:
    """Return a signature's octets; of DSA, its two numbers."""
    try:
        if algorithm_name(der.object_id(der.sequence(algorithm, 1)[0])).lower().startswith("dsa"):
            first, second = (der.integer(one) for one in der.sequence(signature, 2)[:2])
            return [*_number("r:   ", first), *_number("s:   ", second)]
    except der.DerError:
        pass
    return octet_lines(signature, _SIGNATURE_OCTETS)


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _number(title: str, value: int) -> list[str]:
    """Return a number as OpenSSL prints one that belongs to a key: large ones in octets, positive ones with a leading zero."""
    if value.bit_length() <= _SMALL_BITS:
        return [f"{title} {value} ({value:#x})"]
    octets = value.to_bytes((value.bit_length() + 7) // 8, "big")
    octets = b"\x00" + octets if octets[0] & 0x80 else octets
    return [title, *_indented(octet_lines(octets, _OCTETS))]


def _rsa(bits: bytes, parameters: der.Element | None, *, pss: bool) -> list[str]:
    modulus, exponent = (der.integer(one) for one in der.sequence(bits, 2)[:2])
    lines = [
        f"Public-Key: ({modulus.bit_length()} bit)",
        *_number("Modulus:", modulus),
        *_number("Exponent:", exponent),
    ]
    if not pss:
        return lines
    if parameters is None:
        return [*lines, "No PSS parameter restrictions"]
    fields = _pss_fields(parameters)
    defaults = [" (default)" if fields[at] == _PSS_DEFAULTS[at] else "" for at in range(len(fields))]
    hash_name, mask, mask_hash, salt, trailer = fields
    return [
        *lines,
        "PSS parameter restrictions:",
        f"  Hash Algorithm: {_KEY_DIGESTS.get(hash_name, hash_name)}{defaults[0]}",
        f"  Mask Algorithm: {mask.upper()} with {_KEY_DIGESTS.get(mask_hash, mask_hash)}{defaults[2]}",
        f"  Minimum Salt Length: {salt}{defaults[3]}",
        f"  Trailer Field: 0x{trailer:x}{defaults[4]}",
    ]


def _pss(parameters: der.Element | None) -> list[str]:
    hash_name, mask, mask_hash, salt, trailer = _pss_fields(parameters)
    tags = set() if parameters is None else {part.tag for part in der.members(parameters, der.SEQUENCE)}
    note = {tag: "" if tag in tags else " (default)" for tag in (0xA0, 0xA1, 0xA2, 0xA3)}
    return [
        f"Hash Algorithm: {hash_name}{note[0xA0]}",
        f"Mask Algorithm: {mask} with {mask_hash}{note[0xA1]}",
        f" Salt Length: 0x{salt:02X}{note[0xA2]}",
        f"Trailer Field: 0x{trailer:02X}{note[0xA3]}",
    ]


def _pss_fields(parameters: der.Element | None) -> tuple[str, str, str, int, int]:
    """Read RSASSA-PSS-params with its defaults (RFC 4055 3.1)."""
    hash_name, mask, mask_hash, salt, trailer = _PSS_DEFAULTS
    for part in der.members(parameters, der.SEQUENCE) if parameters is not None else ():
        inner = der.first(part.content)
        match part.tag:
            case 0xA0:
                hash_name = _digest(inner)
            case 0xA1:
                kind, hashed = der.members(inner, der.SEQUENCE, 2)[:2]
                mask = "mgf1" if der.object_id(kind) == _MGF1 else object_name(der.object_id(kind))
                mask_hash = _digest(hashed)
            case 0xA2:
                salt = der.integer(inner)
            case 0xA3:
                trailer = der.integer(inner)
            case _:
                raise der.DerError("a part that does not exist")
    return hash_name, mask, mask_hash, salt, trailer


def _digest(algorithm: der.Element) -> str:
    oid = der.object_id(der.members(algorithm, der.SEQUENCE, 1)[0])
    return _DIGESTS.get(oid, oid)


def _elliptic(public_key: bytes, point: bytes, parameters: der.Element) -> list[str]:
    bits = read_public_key(public_key).bits
    lines = [f"Public-Key: ({bits} bit)", "pub:", *_indented(octet_lines(point, _OCTETS))]
    if parameters.tag == der.OBJECT_ID:
        oid = der.object_id(parameters)
        if not bits:
            return []
        nist = [f"NIST CURVE: {_NIST[oid]}"] if oid in _NIST else []
        return [*lines, f"ASN1 OID: {CURVES[oid][0] if oid in CURVES else oid}", *nist]
    return [*lines, *_written_out(parameters)]


def _written_out(parameters: der.Element) -> list[str]:
    """Print a curve's parameters (RFC 3279 2.3.5), of a prime field."""
    _, field, curve, base, order, *rest = der.members(parameters, der.SEQUENCE, 5)
    kind, prime = der.members(field, der.SEQUENCE, 2)[:2]
    if der.object_id(kind) != _PRIME_FIELD:
        return ["Field Type: characteristic-two-field"]
    coefficients = der.members(curve, der.SEQUENCE, 2)
    form = _POINT_FORMS.get(base.content[0] if base.content else 0, "unknown")
    lines = ["Field Type: prime-field", *_number("Prime:", der.integer(prime))]
    for title, coefficient in zip(("A:   ", "B:   "), coefficients[:2], strict=True):
        number = int.from_bytes(coefficient.content, "big")
        lines += _number(title, number) if number else [f"{title} 0"]
    lines += [f"Generator ({form}):", *_indented(octet_lines(base.content, _OCTETS))]
    lines += _number("Order: ", der.integer(order))
    if rest:
        lines += _number("Cofactor: ", der.integer(rest[0]))
    if len(coefficients) > 2:
        lines += ["Seed:", *_indented(octet_lines(der.bits(coefficients[2])[1], _OCTETS))]
    return lines


def _dsa(public_key: bytes, parameters: der.Element) -> list[str]:
    key = read_public_key(public_key).loaded
    if not isinstance(key, dsa.DSAPublicKey):
        return []
    numbers = [der.integer(one) for one in der.members(parameters, der.SEQUENCE, 3)]
    lines = [f"Public-Key: ({key.key_size} bit)", *_number("pub:", key.public_numbers().y)]
    for title, number in zip(("P:   ", "Q:   ", "G:   "), numbers, strict=True):
        lines += _number(title, number)
    return lines
