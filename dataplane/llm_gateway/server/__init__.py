"""The doors: client connections in, responses out."""
