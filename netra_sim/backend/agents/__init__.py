"""The supervisor and its agents: routes by data, tools, a language model, checkpoints."""
