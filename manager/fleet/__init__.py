"""All nodes: what each must hold, the pushes that follow, and what became of them."""
