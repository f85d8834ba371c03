"""When the dependencies were ready to be imported: a workload's first line asks for it."""

import time

ready = time.monotonic()
