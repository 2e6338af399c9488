"""``gallery-operator export``: the manifests of a gallery that exists, so that a team can start from what it has."""
