"""Cold starts of lambdapack beside those of its peers, in one run: ``python -m benchmarks``.

docs/benchmarks.md says what is measured, how, and what the numbers mean.
"""
