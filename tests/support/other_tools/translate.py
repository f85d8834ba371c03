"""SAM's transform, run by the Python that has SAM: JSON in, a template of CloudFormation's out."""

from __future__ import annotations

import json
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

if __name__ == "__main__":
    given = json.load(sys.stdin)
    json.dump(Translator({}, Parser()).translate(given["template"], given["parameters"]), sys.stdout)
