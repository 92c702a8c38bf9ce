"""Requests that delete several things at once. Pure."""

from common.api.values import Body, ConfirmationText, Ids


class ToDelete(Body, frozen=True, kw_only=True):
    """Which to delete, all or none; `confirm` as for an upload, in place of `force`."""

    ids: Ids
    force: bool = False
    confirm: ConfirmationText | None = None
