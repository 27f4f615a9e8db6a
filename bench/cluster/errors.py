"""What is said of a cluster that is of no use."""


class ClusterError(ValueError):
    """A cluster that is not there, or has no node of use: says what was received and expected."""
