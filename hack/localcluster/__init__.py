"""A Kubernetes cluster on this machine, for the demo and the tests; see README.md beside this file.

Standard library only: it has to run before anything of the project is installed.
"""
