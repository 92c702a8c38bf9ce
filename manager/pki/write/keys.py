"""Private keys that the manager makes.

Decides the strength of a key that replaces another. Making an RSA key takes seconds: run `make_key` off the
loop.
"""

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from common.codes import KeyKind
from manager.pki.read.keys import PrivateKey, wrap

P256_BITS = 256
RSA_BITS = 2048


def kind_like(key_type: str, key_bits: int) -> KeyKind:
    """Return a kind of key at least as strong as one of this type.

    RSA with 2048 bits for types that cannot be made here.
    """
    if key_type.startswith("EC "):
        return KeyKind.ECDSAP256 if key_bits <= P256_BITS else KeyKind.ECDSAP384
    return KeyKind.RSA4096 if key_type == "RSA" and key_bits > RSA_BITS else KeyKind.RSA2048


def make_key(kind: KeyKind) -> PrivateKey:
    """Make a key. RSA 4096 takes seconds of CPU."""
    match kind:
        case KeyKind.RSA2048:
            return wrap(rsa.generate_private_key(public_exponent=65537, key_size=2048))
        case KeyKind.RSA4096:
            return wrap(rsa.generate_private_key(public_exponent=65537, key_size=4096))
        case KeyKind.ECDSAP256:
            return wrap(ec.generate_private_key(ec.SECP256R1()))
        case KeyKind.ECDSAP384:
            return wrap(ec.generate_private_key(ec.SECP384R1()))
