"""Files that say what is needed, one module each.

Each has ``read``, which checks the whole file: its ``ConfigurationError`` says which key is wrong, and what
was expected.
"""
