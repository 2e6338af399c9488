"""The one exception whose text is meant for the person at the terminal."""


class ClusterError(Exception):
    """Something the person has to know about or to do; its text says what happened and what to do next."""
