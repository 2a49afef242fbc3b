"""Connections to providers: pooled, own protocol, no HTTP client between."""
