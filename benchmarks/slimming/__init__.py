"""What slimming and packing save on the heavy packages of PyPI: ``python -m benchmarks.slimming``."""
