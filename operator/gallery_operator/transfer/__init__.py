"""``gallery-operator upload``: the transfer engine of the Jobs as a command, for people without a cluster."""
