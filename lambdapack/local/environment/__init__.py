"""One execution environment: a process with Lambda's limits, its /tmp, and the Runtime API that it talks to.

In goes a function with its unpacked code, the settings of memory and /tmp, an isolation, and credentials for
the S3 endpoint; ``environment.Environment.invoke`` turns an event's payload into an ``Invocation`` with its
log. Nothing here knows the cloud, its state folder's functions, or other environments.
"""
