"""Processes: the stores, servers and workers of a lab, started, watched, killed and cleaned up after."""
