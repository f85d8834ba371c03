"""Faults injected into real starts of the loader, and what each may end in.

``python -m tests.faults`` (``make torture``) prints one table; docs/faults.md says what is injected.
"""
