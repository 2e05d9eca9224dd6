"""Scenarios: a question, a load, a plan of faults, checks, and the controls that must make them fail."""
