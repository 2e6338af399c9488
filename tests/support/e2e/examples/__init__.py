"""Every manifest of docs/examples on a real cluster: what has to exist for it, and what it must have done in Azure."""
