"""Adapters, one file per provider: a client's request to bytes for an upstream, its answer to bytes for the client."""
