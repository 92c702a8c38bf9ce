"""Log entries for failed requests."""

import structlog

from common.errors import CertcastError

log = structlog.get_logger(__name__)


def log_failure(error: CertcastError, *, method: str, path: str) -> None:
    """Log that the manager failed to serve a request."""
    log.error("http.request_failed", method=method, path=path, reason=error.reason, message=error.message)
