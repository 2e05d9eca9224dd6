"""The outside world as real servers, each with a script of behaviours and a request log."""
