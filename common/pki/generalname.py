"""Kinds of general names: the tags by which RFC 5280 4.2.1.6 tells them apart."""

from enum import IntEnum


class NameKind(IntEnum):
    """A tag of `GeneralName`."""

    OTHER = 0xA0
    MAIL = 0x81
    DNS = 0x82
    X400 = 0xA3
    DIRECTORY = 0xA4
    EDI = 0xA5
    URI = 0x86
    IP = 0x87
    REGISTERED = 0x88
