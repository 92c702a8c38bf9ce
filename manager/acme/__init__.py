"""CAs that speak ACME (RFC 8555, RFC 9773): what renewal asks of one, on the libraries `acme` and `josepy`.

Whoever imports this loads them, so nothing does before a certificate is to be renewed.
"""
