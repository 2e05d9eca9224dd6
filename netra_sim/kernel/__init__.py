"""The leaf every other part stands on: clock, rng, errors, history. Standard library only."""
