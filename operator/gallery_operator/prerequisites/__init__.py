"""Checks a Linux disk for Azure without booting it.

``readers`` turn bytes into partitions, file systems and files; ``facts`` turn files into what a check wants
to know, each computed once; ``checks`` decide, one small pure function a row of the catalogue; ``checker``
runs the rows that apply and makes the report. Nothing here mounts, needs a privilege, or follows a path of
the image on the host.
"""
