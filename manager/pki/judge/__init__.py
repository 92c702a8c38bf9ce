"""What a certificate is worth."""
