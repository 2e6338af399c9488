"""Azure role-based access control: role definitions and role assignments at a scope."""
