"""Errors of networks and weights."""

from __future__ import annotations

from ..errors import InputError


class ModelError(InputError, ValueError):
    """A model name is unknown, a weight file is not one of ours, or what a network needs is not installed."""
