"""The Job pods: ``prepare`` brings a disk to the scratch volume and checks it, ``upload`` sends it to Azure.

A worker holds no Kubernetes token and no Azure identity. It learns what to do from ``WORKER_CONFIG``, tells
how far it is over HTTP, and ends with a report in the termination message and an exit code.
"""
