"""Use cases of the manager: each changes the store and the audit log in one transaction and tells the fleet."""
