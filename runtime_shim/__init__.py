"""The loader that runs inside the function: standard library and the zstd decoder, nothing else."""
