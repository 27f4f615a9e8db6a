"""Frameworks that are installed and go wrong when they are imported."""
