"""The tools: which module writes a tool's files, what its comments look like, what it calls a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lambdapack.deploy.export import cdk, sam, serverless, terraform
from lambdapack.deploy.export.fragment import Fragment
from lambdapack.errors import ConfigurationError

MARK = "Written by lambdapack export"
"""What the first line of each text says; a file without that is not ours."""


@dataclass(frozen=True)
class Tool:
    """A tool that deploys functions.

    Attributes:
        write: The names and texts of the files.
        head: The first lines of each text, with ``%s`` for what they say.
        function: What the tool takes for the function's name.
        rule: That in words.
    """

    write: Callable[[Fragment], dict[str, str]]
    head: str = "# %s\n"
    function: str = r"[A-Za-z0-9_-]{1,64}"
    rule: str = "letters, digits, '-' and '_'"


# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resources-section-structure.html
TOOLS: Mapping[str, Tool] = {
    "sam": Tool(sam.write, function=r"[A-Za-z0-9]{1,255}", rule="letters and digits, as a logical id has"),
    "serverless": Tool(serverless.write),
    "terraform": Tool(terraform.write),
    "cdk": Tool(cdk.write, head='"""%s"""\n\n'),
}


def texts(tool: str, fragment: Fragment) -> dict[str, str]:
    """The names and texts of a tool's files, each with the line that says whose the file is."""
    chosen = TOOLS[tool]
    said = f"{MARK} {tool} for pack {fragment.pack_id[:12]}: changes made here are lost."
    return {name: chosen.head % said + text for name, text in chosen.write(fragment).items()}


def check_function(tool: str, function: str) -> None:
    """That the tool can call a function so.

    Raises:
        ConfigurationError: It cannot.
    """
    if not re.fullmatch(TOOLS[tool].function, function):
        raise ConfigurationError(
            f"exporting to {tool}: a function cannot be called {function!r} there: {TOOLS[tool].rule}",
            hint="--function names the function as the project's own template does",
        )


def default_function(tool: str, name: str) -> str:
    """What the tool's projects would call the function ``name``."""
    if tool != "sam":
        return name
    words = re.findall(r"[A-Za-z0-9]+", name)
    return "".join(word[0].upper() + word[1:] for word in words) + "Function"
