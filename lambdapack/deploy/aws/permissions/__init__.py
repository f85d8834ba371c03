"""What lambdapack may have to do in AWS, and why: a project goes in, the smallest policies come out.

``table`` has a row for every call that lambdapack makes; ``resources`` says on what, as a function of the
project; ``policies`` puts both together. Nothing here calls AWS.
"""

from lambdapack.deploy.aws.permissions.policies import Statement, documents, sid_of, statements
from lambdapack.deploy.aws.permissions.project import PLACEHOLDER, Project
from lambdapack.deploy.aws.permissions.table import FEATURES, TABLE, Row, row_of, rows_for_call

__all__ = [
    "FEATURES", "PLACEHOLDER", "TABLE", "Project", "Row", "Statement", "documents", "row_of", "rows_for_call",
    "sid_of", "statements",
]  # fmt: skip
