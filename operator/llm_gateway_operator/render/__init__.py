"""An intent in, the objects of one gateway out: pure, deterministic, one module per kind."""
