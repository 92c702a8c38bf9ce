"""Fleet of nodes: their desired content, the pushes that deliver it, and the outcomes."""
