"""What can go wrong before a cluster is there."""


class ClusterUnavailable(Exception):
    """There is no cluster to test on; the message says why and what to do about it."""
