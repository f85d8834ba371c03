"""One execution environment: a process with Lambda's limits, its /tmp, and the Runtime API it talks to."""
