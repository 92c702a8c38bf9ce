"""Annotations in forms: reading them, and comparing them with another user's concurrent edit. Pure."""

from manager.domain.annotations import ANNOTATIONS, Annotations
from manager.web.forms import Form


def annotations_of(form: Form) -> Annotations:
    """Return the annotations in a form; a missing field leaves its annotation unchanged."""
    return Annotations(**{name: form.text(name) for name in ANNOTATIONS if form.all(name)})


def compare_annotations(stored: Annotations, given: Annotations) -> list[tuple[str, str, str]]:
    """Return each annotation's label, stored and given text, for `PageRequest.differences`."""
    kept = stored.given()
    return [(name.capitalize(), kept.get(name, ""), text) for name, text in given.given().items()]
