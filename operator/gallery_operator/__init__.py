"""Kubernetes operator that brings Linux images into Azure Compute Gallery."""

__version__ = "0.1.0"
