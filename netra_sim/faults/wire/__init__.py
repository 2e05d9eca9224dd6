"""Parsers of what is on the wire, without sockets: bytes in, messages out, nothing lost and nothing reordered."""
