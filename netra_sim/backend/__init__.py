"""The platform under test: sign-in, WebSocket chat and agents. It knows URLs, not that it is tested."""
