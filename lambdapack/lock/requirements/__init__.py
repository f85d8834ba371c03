"""Reading what the user wrote: requirement lines, requirements files, and the locks of other tools."""
