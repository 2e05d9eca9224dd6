"""`python -m tests.bench`: performance, claimed only as ratios of what was measured side by side in one run."""
