"""Errors of networks and weights."""

from __future__ import annotations


class ModelError(ValueError):
    """A model name is unknown, a weight file is not one of ours, or what a network needs is not installed."""
