"""The custom resources as frozen pydantic models: their shape and nothing else.

A field is declared when something reads it. Fields that are inherited or that shape a workload have no
default: absence is the user's silence, and stays distinguishable from a wish.
"""
