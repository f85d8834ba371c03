"""A build and a tool that deploys functions -> what that tool's project has to have for the build's pack.

``fragment`` says which resources, properties and statements those are, whatever the tool; a module for each
tool writes them down in its language; ``folder`` puts the files where the project finds them.
"""

from lambdapack.deploy.export.exporting import DEFAULT_FOLDER, Exported, export
from lambdapack.deploy.export.fragment import Fragment
from lambdapack.deploy.export.tools import TOOLS, default_function

__all__ = ["DEFAULT_FOLDER", "TOOLS", "Exported", "Fragment", "default_function", "export"]
