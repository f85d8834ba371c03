"""Asking the package index through pip-tools in the target's Python, choosing files, explaining failures."""
