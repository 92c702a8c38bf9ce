"""Judgement of certificates."""
