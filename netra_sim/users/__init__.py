"""Simulated users: what they intend, how they live it over real sockets, and what the auditor finds afterwards."""
