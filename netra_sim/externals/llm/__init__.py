"""A simulated LLM behind the OpenAI API: seeded answers, scripted misbehaviour, a request log."""
