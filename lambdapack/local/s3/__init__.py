"""An S3 endpoint that checks signatures and serves ranges at a chosen bandwidth, latency and fault rate."""
