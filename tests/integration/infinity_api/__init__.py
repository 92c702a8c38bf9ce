"""The API that existing clients speak."""
