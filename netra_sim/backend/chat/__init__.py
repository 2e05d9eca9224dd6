"""Sockets, threads, messages and each user's one durable event stream."""
