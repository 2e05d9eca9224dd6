"""Postgres and Redis as the platform uses them."""
