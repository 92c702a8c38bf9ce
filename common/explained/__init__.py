"""Meanings of the public codes: findings, statuses, states, alarms and reasons."""
