"""The dependencies are in a folder beside the function: the floor."""

import os
import sys

sys.path.insert(1, os.path.join(os.environ["LAMBDA_TASK_ROOT"], "dependencies"))

from workload import handler  # noqa: F401
