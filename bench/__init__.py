"""What a request and an event of a stream cost: this gateway beside nginx and Envoy, in one run. docs/benchmarks.md."""
