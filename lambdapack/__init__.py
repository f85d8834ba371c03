"""lambdapack: run Python dependencies that are too heavy for AWS Lambda."""

__version__ = "0.1.0"
