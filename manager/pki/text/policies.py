"""The extensions on policies as OpenSSL prints them (RFC 5280 4.2.1.4, 4.2.1.5, 4.2.1.11)."""

from common.pki import der
from manager.pki.text.names import dots, object_name

_CPS, _NOTICE = "1.3.6.1.5.5.7.2.1", "1.3.6.1.5.5.7.2.2"
_CONSTRAINTS = {0x80: "Require Explicit Policy", 0x81: "Inhibit Policy Mapping"}


def policy_lines(value: bytes) -> list[str]:
    """Return the lines of certificate policies."""
    lines: list[str] = []
    for policy in der.sequence(value):
        kind, *qualifiers = der.members(policy, der.SEQUENCE, 1)
        lines.append(f"Policy: {object_name(der.object_id(kind))}")
        for qualifier in der.members(qualifiers[0], der.SEQUENCE) if qualifiers else ():
            lines += [f"  {line}" if line else "" for line in _qualifier(qualifier)]
    return lines


def policy_mappings(value: bytes) -> list[str]:
    """Return the line of policy mappings."""
    pairs = [der.members(one, der.SEQUENCE, 2)[:2] for one in der.sequence(value)]
    return [", ".join(":".join(object_name(der.object_id(one)) for one in pair) for pair in pairs)]


def policy_constraints(value: bytes) -> list[str]:
    """Return the line of policy constraints."""
    parts = [
        f"{_CONSTRAINTS[part.tag]}:{der.integer(part._replace(tag=der.INTEGER))}"
        for part in der.sequence(value)
    ]
    return [", ".join(parts)]


def _qualifier(qualifier: der.Element) -> list[str]:
    kind, value = der.members(qualifier, der.SEQUENCE, 2)[:2]
    oid = der.object_id(kind)
    if oid == _CPS:
        return [f"CPS: {dots(value.content)}"]
    if oid != _NOTICE:
        return [f"  Unknown Qualifier: {object_name(oid)}"]
    lines = ["User Notice:"]
    for part in der.members(value, der.SEQUENCE):
        if part.tag == der.SEQUENCE:
            organization, numbers = der.members(part, der.SEQUENCE, 2)[:2]
            found = [str(der.integer(one)) for one in der.members(numbers, der.SEQUENCE)]
            lines.append(f"  Organization: {dots(organization.content)}")
            lines.append(f"  Number{'s' if len(found) > 1 else ''}: {', '.join(found)}")
        else:
            lines.append(f"  Explicit Text: {dots(part.content)}")
    return lines if value.content else [*lines, ""]
