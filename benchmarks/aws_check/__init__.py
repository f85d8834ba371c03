"""lambdapack in a real account: ``python -m benchmarks.aws_check``, or ``make aws-check``.

It makes a bucket, functions, roles, logs and layers of names of their own, measures, compares with the local
cloud, and destroys all of them, whatever happens. It says first what it will make and what that costs at
most, and asks. docs/aws-check.md says more.
"""
