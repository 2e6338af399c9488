"""Facts about a guest, each computed from its files and tested on its own."""
