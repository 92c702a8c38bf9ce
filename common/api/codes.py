"""Codes of the API: those that requests, answers and documents of `/api/certcast/v1/` have. Pure."""

from common.codes import (
    ChainState,
    Fault,
    Format,
    Kept,
    KeyChangeKind,
    KeyKind,
    NodeKind,
    Order,
    PushAction,
    Role,
    Scope,
    Slot,
    State,
    StatusCode,
)

__all__ = (
    "ChainState",
    "Fault",
    "Format",
    "Kept",
    "KeyChangeKind",
    "KeyKind",
    "NodeKind",
    "Order",
    "PushAction",
    "Role",
    "Scope",
    "Slot",
    "State",
    "StatusCode",
)
