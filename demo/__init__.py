"""A manager and three nodes on this machine, and the main job."""
