"""Readers: bytes in, partitions, file systems and files out."""
