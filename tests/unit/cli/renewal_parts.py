"""Renewals and orders as the API sends them."""

import time
from typing import Any

NOW_S = time.time()
LATER_S = NOW_S + 20.5 * 86400
"""In 20 d, however long the test takes."""
STEPS = [
    {"at_s": 1000.0, "state": "created"},
    {"at_s": 1002.0, "state": "ordered"},
    {"at_s": 1003.0, "state": "ordered", "message": "ca.example.com refused (caa): CAA forbids it"},
]
ORDER = {"id": 12, "state": "ordered", "names": ["meet.example.com"], "steps": STEPS}
TERMS = {
    "account": 4,
    "challenge": "dns-01",
    "profile": "short",
    "preferred_chain": "Root X",
    "key": "ECDSAP384",
    "keeps_key": False,
    "names": ["meet.example.com"],
}
RENEWAL = TERMS | {
    "id": 3,
    "state": "waiting",
    "certificate": 7,
    "subject_name": "meet.example.com",
    "ordered_names": ["meet.example.com"],
    "not_after_s": int(NOW_S) + 30 * 86400,
    "next_at_s": LATER_S,
}
FIRST = RENEWAL | {"id": 5, "certificate": None, "subject_name": "", "ordered_names": ["new.example.com"]}
BEGUN = {
    "id": 12,
    "state": "created",
    "names": ["meet.example.com"],
    "steps": [{"at_s": 1.0, "state": "created"}],
}


def order(*steps: tuple[float, str, str], **changes: Any) -> dict[str, Any]:
    """Build an order that has come so far."""
    made = [{"at_s": at_s, "state": state, "message": message} for at_s, state, message in steps]
    return BEGUN | {"state": made[-1]["state"], "steps": made, **changes}
