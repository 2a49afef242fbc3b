"""A real Kubernetes control plane for tests: built once from `testcluster/`, started on free loopback ports."""
