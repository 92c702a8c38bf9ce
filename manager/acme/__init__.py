"""CAs that speak ACME (RFC 8555, RFC 9773): what renewal asks of one, on the libraries `acme` and `josepy`.

Importing this package loads them, so nothing imports it before a certificate is to be renewed.
"""
