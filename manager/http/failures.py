"""Failures of requests, as the log has them."""

import structlog

from common.errors import CertcastError

log = structlog.get_logger(__name__)


def log_failure(error: CertcastError, *, method: str, path: str) -> None:
    """Log that a request failed in the manager."""
    log.error("http.request_failed", method=method, path=path, reason=error.reason, message=error.message)
