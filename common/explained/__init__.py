"""What the public codes mean: findings, statuses, states, alarms and reasons."""
