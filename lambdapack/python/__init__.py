"""The target's Python and its pip: finding, asking and running them. Nothing here knows of a lock.

The public modules of a toolbox; each is imported where it is used.
"""

__all__ = [
    "bytecode", "interpreter", "keeper", "machine", "module_names", "pip", "pip_settings", "toolchain",
    "wheel_recipe", "wheel_tags", "worker",
]  # fmt: skip
