"""The text form of a certificate, as OpenSSL prints it."""
