"""The local stage."""
