"""Annotations in forms: reading them, and comparing them with what somebody else wrote meanwhile. Pure."""

from manager.domain.annotations import ANNOTATIONS, Annotations
from manager.web.forms import Form


def annotations_of(form: Form) -> Annotations:
    """Return what a form says; a field that it lacks leaves its annotation as it is."""
    return Annotations(**{name: form.text(name) for name in ANNOTATIONS if form.all(name)})


def compare_annotations(stored: Annotations, given: Annotations) -> list[tuple[str, str, str]]:
    """Return each annotation's label, what is stored and what was given, for `PageRequest.differences`."""
    kept = stored.given()
    return [(name.capitalize(), kept.get(name, ""), text) for name, text in given.given().items()]
