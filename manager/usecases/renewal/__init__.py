"""Use cases of renewal: accounts, renewals, and the orders that the leading manager carries out."""
