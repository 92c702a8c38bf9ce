"""Words for the steps of an order, the same on pages and in the command."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ORDER_STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "created": "a key and a request are made",
        "ordered": "the CA has the order",
        "placed": "the proofs are shown",
        "validated": "the names are proven",
        "finalised": "the CA has the request",
        "downloaded": "the CA has issued the certificate",
        "taken_over": "the nodes get the certificate",
        "served": "every node that has the certificate serves it",
        "tested": "the test order succeeded; its certificate is not kept",
        "failed": "the order failed",
    }
)
"""The state of an order after each step, by code."""
