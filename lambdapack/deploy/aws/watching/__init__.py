"""A CloudWatch dashboard and alarms for a function: what they are, as data, and the calls that make them so.

Everything is named after the function, and compared with what is there: applying twice calls nothing.
The metrics of the namespace ``lambdapack`` are the shim's: docs/metrics.md.
"""

from lambdapack.deploy.aws.watching.applying import apply_watching, plan_watching, read_watched, wanted
from lambdapack.deploy.aws.watching.models import NAMESPACE, Watched, Watching

__all__ = ["NAMESPACE", "Watched", "Watching", "apply_watching", "plan_watching", "read_watched", "wanted"]
