"""Parts that manager and nodeagent share; imports nothing above it and does no work at import."""
