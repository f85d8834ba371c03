"""An S3 endpoint that checks signatures and serves ranges over a link with bandwidth, latency and faults.

In go a folder of ``bucket/key`` files and grants (credentials, what they may read, their link); HTTP requests
are answered as S3 answers them, and each is logged. ``python -m lambdapack.local.s3`` runs it as a process.
Nothing here knows functions or environments.
"""
