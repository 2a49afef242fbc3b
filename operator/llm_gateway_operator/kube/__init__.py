"""The only code that talks to the API server: client, watches, sweeps, leader election."""
