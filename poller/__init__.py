"""Decide: when to ask, what it means, whom to tell, where to keep it."""

__version__ = "0.1.0"
