"""Deadline, retry, breaker, timeout and budget: one policy a dependency, each protection removable."""
