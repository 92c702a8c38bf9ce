"""Role descriptions, and checks of a new password."""

from typing import Final

from common.api.codes import Role
from manager.usecases.users import findings_of_user
from manager.web.pagerequest import PageRequest

ROLES: Final = {
    Role.READ_ONLY: "sees everything but secrets",
    Role.OPERATOR: "also pushes and acknowledges",
    Role.ADMINISTRATOR: "does everything",
}
DIFFER: Final = "the two passwords differ"


def password_problems(page_request: PageRequest, name: str) -> list[str]:
    """Return the problems of the password that a form has twice."""
    password = page_request.form.text("password")
    problems = [each.message for each in findings_of_user(name, password)]
    return problems if password == page_request.form.text("again") else [*problems, DIFFER]
