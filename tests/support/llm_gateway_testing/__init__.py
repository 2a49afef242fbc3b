"""Helpers that several test modules import: raw upstreams, client drivers, documents in the making."""
