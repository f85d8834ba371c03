"""serverless-python-requirements: its own helper is the first import, as its README says."""

import unzip_requirements  # noqa: F401

from workload import handler  # noqa: F401
