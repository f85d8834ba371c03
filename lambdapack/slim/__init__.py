"""The slim stage."""
