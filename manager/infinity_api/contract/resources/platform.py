"""The settings of the whole platform: one object, kept and given back (the contract's section 20).

None of them changes what Certcast does. What is secret among them is checked and not kept. Defaults are those that clients plan with.
"""

from typing import Final

from manager.infinity_api.contract.description import (
    ID,
    RESOURCE_URI,
    Field,
    Kind,
    Method,
    Namespace,
    Resource,
)
from manager.infinity_api.contract.resources.fields import flag, nullable, number, secret, text

GLOBAL_ID: Final = 1
_TEXT_MAX: Final = 4096

_ON: Final = (
    "bdpm_pin_checks_enabled",
    "bdpm_scan_quarantine_enabled",
    "content_security_policy_state",
    "default_to_new_webapp",
    "enable_application_api",
    "enable_chat",
    "enable_denoise",
    "enable_dialout",
    "enable_directory",
    "enable_edge_non_mesh",
    "enable_fecc",
    "enable_h323",
    "enable_rtmp",
    "enable_sip",
    "enable_softmute",
    "enable_ssh",
    "enable_webrtc",
    "external_participant_avatar_lookup",
    "liveview_show_conferences",
    "session_timeout_enabled",
    "teams_enable_powerpoint_render",
)
_OFF: Final = (
    "bursting_enabled",
    "enable_analytics",
    "enable_breakout_rooms",
    "enable_clock",
    "enable_legacy_dialout_api",
    "enable_lync_auto_escalate",
    "enable_lync_vbss",
    "enable_mlvad",
    "enable_multiscreen",
    "enable_push_notifications",
    "enable_sip_udp",
    "enable_turn_443",
    "error_reporting_enabled",
    "legacy_api_http",
    "live_captions_enabled",
    "live_captions_vmr_default",
    "pss_enabled",
)
_NUMBERS: Final = (
    ("bdpm_max_pin_failures_per_window", 20),
    ("bdpm_max_scan_attempts_per_window", 20),
    ("eject_last_participant_backstop_timeout", 0),
    ("es_connection_timeout", 7),
    ("es_initial_retry_backoff", 1),
    ("es_maximum_deferred_posts", 1000),
    ("es_maximum_retry_backoff", 1800),
    ("es_media_streams_wait", 1),
    ("es_metrics_update_interval", 60),
    ("es_short_term_memory_expiration", 2),
    ("guests_only_timeout", 60),
    ("logs_max_age", 0),
    ("management_session_timeout", 30),
    ("max_presentation_bandwidth_ratio", 75),
    ("media_ports_end", 49999),
    ("media_ports_start", 40000),
    ("min_pin_length", 6),
    ("pin_entry_timeout", 120),
    ("signalling_ports_end", 39999),
    ("signalling_ports_start", 33000),
    ("waiting_for_chair_timeout", 900),
)
_TEXTS: Final = (
    ("cloud_provider", "AWS"),
    ("contact_email_address", ""),
    ("content_security_policy_header", ""),
    ("crypto_mode", "besteffort"),
    ("default_webapp", ""),
    ("deployment_uuid", ""),
    ("error_reporting_url", ""),
    ("legacy_api_username", ""),
    ("live_captions_api_gateway", ""),
    ("live_captions_app_id", ""),
    ("live_captions_public_jwt_key", ""),
    ("local_mssip_domain", ""),
    ("logon_banner", ""),
    ("management_start_page", "/admin/conferencingstatus/deploymentgraph/deployment_graph/"),
    ("max_pixels_per_second", "hd"),
    ("ocsp_responder_url", ""),
    ("ocsp_state", "OFF"),
    ("pss_customer_id", ""),
    ("pss_gateway", ""),
    ("sip_tls_cert_verify_mode", "OFF"),
    ("site_banner", ""),
    ("site_banner_bg", "#c0c0c0"),
    ("site_banner_fg", "#000000"),
)
_NULLABLE_TEXTS: Final = (
    "aws_access_key",
    "azure_client_id",
    "azure_subscription_id",
    "azure_tenant",
    "gcp_client_email",
    "gcp_project_id",
)
_LINKS: Final = ("default_theme", "default_webapp_alias")
"""What one client sends and reads as a URI, and a newer one as an object with a name."""
_NULLABLE_NUMBERS: Final = (
    ("bursting_min_lifetime", 50),
    ("bursting_threshold", 5),
    ("management_qos", 0),
    ("max_callrate_in", None),
    ("max_callrate_out", None),
)
_SECRETS: Final = ("aws_secret_key", "azure_secret", "gcp_private_key", "legacy_api_password", "pss_token")
_KEPT: Final = "Kept and given back."


def _nullable_number(name: str, default: int | None) -> Field:
    return Field(name=name, kind=Kind.INTEGER, help=_KEPT, blank=True, nullable=True, default=default)


def _link(name: str) -> Field:
    return Field(
        name=name, help=_KEPT, max_length=_TEXT_MAX, blank=True, nullable=True, default=None, or_object=True
    )


GLOBAL: Final = Resource(
    namespace=Namespace.CONFIGURATION,
    name="global",
    title="Global settings",
    help="One object; nothing here changes what Certcast does.",
    list_methods=frozenset({Method.GET}),
    # PUT is what one client sends where PATCH is meant
    detail_methods=frozenset({Method.GET, Method.PUT, Method.PATCH}),
    fields=(
        ID,
        *(flag(name, _KEPT, default=True) for name in _ON),
        *(flag(name, _KEPT) for name in _OFF),
        *(number(name, _KEPT, default=default) for name, default in _NUMBERS),
        *(text(name, _KEPT, most=_TEXT_MAX, default=default) for name, default in _TEXTS),
        *(nullable(name, _KEPT, most=_TEXT_MAX) for name in _NULLABLE_TEXTS),
        *(_link(name) for name in _LINKS),
        *(_nullable_number(name, default) for name, default in _NULLABLE_NUMBERS),
        *(secret(name, "It is never shown, and not kept.", most=12288) for name in _SECRETS),
        RESOURCE_URI,
    ),
    keeps_more=True,
)
