"""The manager's host key, by which nodes know it, and its replacement. Pure."""

from typing import Annotated, get_args

import msgspec

from common.api.values import one_of
from common.codes import HostKeyState


class HostKeyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Which key the manager presents, and how far its replacement is.

    `state` is "steady" while there is one key; "announced" while the other one is to come; "switched" while the other one is the former one,
    which still vouches for the present one. `unconfirmed` are the nodes that have joined and do not know the newer of the two, or are connected since before it was presented.
    """

    state: Annotated[str, one_of(get_args(HostKeyState))]
    fingerprint: str
    other_fingerprint: str = ""
    unconfirmed: tuple[str, ...] = ()
