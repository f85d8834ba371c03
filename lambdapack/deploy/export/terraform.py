"""Terraform: a module of the project, with layers, the role's policy and the alias.

https://developer.hashicorp.com/terraform/language/modules/syntax
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lambdapack import limits
from lambdapack.deploy.export.fragment import Fragment

FILE = "main.tf"
_HEAD = """\
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "function_name" {
  description = "Name of the function, for its alias."
  type        = string
}

variable "function_version" {
  description = "Version of the function that the alias points to: the function needs publish = true."
  type        = string
}
"""
_ALIAS = """
resource "aws_lambda_alias" "{alias}" {{
  name             = "{alias}"
  function_name    = var.function_name
  function_version = var.function_version
}}
"""


def write(fragment: Fragment) -> dict[str, str]:
    """The files' names and texts."""
    parts = [_HEAD, _role(fragment), *_layers(fragment), _policy(fragment)]
    parts += [_ALIAS.format(alias=fragment.alias), *_outputs(fragment)]
    return {FILE: "".join(parts)}


def _role(fragment: Fragment) -> str:
    default = "" if fragment.statements else "  default     = null\n"
    return (
        '\nvariable "role" {\n  description = "Name of the function\'s role, which gets what the function '
        f'needs."\n  type        = string\n{default}}}\n'
    )


def _layer_name(number: int) -> str:
    return "dependencies" + (f"_{number + 1}" if number else "")


def _layers(fragment: Fragment) -> Iterator[str]:
    for number, name in enumerate(fragment.layers):
        file = f'"${{path.module}}/{name}"'
        suffix = f"-{number + 1}" if number else ""
        yield (
            f'\nresource "aws_lambda_layer_version" "{_layer_name(number)}" {{\n'
            f"  layer_name               = {_value(f'{fragment.function}-lambdapack{suffix}')}\n"
            f"  filename                 = {file}\n"
            f"  source_code_hash         = filebase64sha256({file})\n"
            f"  compatible_runtimes      = {_value([fragment.target.runtime])}\n"
            f"  compatible_architectures = {_value([fragment.target.arch])}\n"
            "  # Versions that were published before keep their layer's entry.\n"
            "  skip_destroy = true\n}\n"
        )


def _policy(fragment: Fragment) -> str:
    if not fragment.statements:
        return ""
    blocks = "".join(
        "  statement {\n"
        f"    sid       = {_value(statement['Sid'])}\n"
        f"    effect    = {_value(statement['Effect'])}\n"
        f"    actions   = {_value(statement['Action'])}\n"
        f"    resources = {_value(statement['Resource'])}\n"
        "  }\n"
        for statement in fragment.statements
    )
    return (
        f'\ndata "aws_iam_policy_document" "packs" {{\n{blocks}}}\n'
        '\nresource "aws_iam_role_policy" "packs" {\n'
        '  name   = "lambdapack"\n'
        "  role   = var.role\n"
        "  policy = data.aws_iam_policy_document.packs.json\n}\n"
    )


def _outputs(fragment: Fragment) -> Iterator[str]:
    layers = [f"aws_lambda_layer_version.{_layer_name(n)}.arn" for n in range(len(fragment.layers))]
    yield _output("layers", f"[{', '.join(layers)}]", "The function's layers, in this order.")
    yield _output("environment", _value(fragment.variables), "The function's environment variables.")
    yield _output("runtime", _value(fragment.target.runtime), "What the pack was built for.")
    yield _output("architectures", _value([fragment.target.arch]), "What the pack was built for.")
    yield _output(
        "ephemeral_storage", str(fragment.tmp_mb or limits.TMP_DEFAULT_MB), "The function's /tmp, in MB."
    )
    if fragment.code is not None:
        file = f'"${{path.module}}/{fragment.code}"'
        yield _output("filename", file, "The function's zip.")
        yield _output("source_code_hash", f"filebase64sha256({file})", "That zip's digest.")
        yield _output("handler", _value(fragment.handler), "The function's handler with that zip.")
    if fragment.memory_mb is not None:
        yield _output("memory_size", str(fragment.memory_mb), "The function's memory, in MB.")
    if fragment.timeout is not None:
        yield _output("timeout", str(fragment.timeout), "The function's timeout, in seconds.")
    if fragment.snap_start:
        yield _output("snap_start", '"PublishedVersions"', "apply_on of the function's snap_start.")
    yield _output("alias_arn", f"aws_lambda_alias.{fragment.alias}.arn", "What is to be invoked.")
    yield _output("alias_invoke_arn", f"aws_lambda_alias.{fragment.alias}.invoke_arn", "For an API.")


def _output(name: str, value: str, description: str) -> str:
    # As `terraform fmt` has it: what spans lines is not aligned.
    key = "value" if "\n" in value else "value      "
    return f'\noutput "{name}" {{\n  description = {_value(description)}\n  {key} = {value}\n}}\n'


def _value(value: Any) -> str:
    """A text, a list of texts or a map of texts in HCL, inside an attribute of a block at the top."""
    if isinstance(value, Mapping):
        width = max((len(key) for key in value), default=0)
        lines = "".join(f"    {key:{width}} = {_value(text)}\n" for key, text in value.items())
        return f"{{\n{lines}  }}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
