"""Rules that an answer keeps or not, decided without a model (in the manner of IFEval, Zhou et al. 2023, for programs):

{"rule": "parses"} | {"rule": "defines", "name": "f", "arguments": 2} | {"rule": "contains", "text": "while "} |
{"rule": "lacks", "text": "import"} | {"rule": "lines", "least": 1, "most": 3} | {"rule": "uses", "node": "While"} | {"rule": "avoids", "node": "For"}
"""

import ast
import re


def _tree(answer):
    try:
        return ast.parse(answer)
    except (SyntaxError, ValueError):
        return None


def _function(tree, name):
    return next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name), None)


def _code(answer):
    block = re.search(r"```[^\n]*\n(.*?)(?:```|\Z)", answer, re.DOTALL)
    return block.group(1) if block else answer


def kept(answer, rule):
    kind, code = rule["rule"], _code(answer)
    if kind in ("contains", "lacks"):
        return (rule["text"] in code) == (kind == "contains")
    if kind == "lines":
        lines = sum(1 for line in code.splitlines() if line.strip())
        return rule.get("least", 0) <= lines <= rule.get("most", 1 << 30)
    tree = _tree(code)
    if tree is None:
        return False
    if kind == "parses":
        return bool(tree.body)
    if kind == "defines":
        function = _function(tree, rule["name"])
        return function is not None and ("arguments" not in rule or len(function.args.args) == rule["arguments"])
    nodes = {type(node).__name__ for node in ast.walk(tree)}
    if kind in ("uses", "avoids"):
        return bool(tree.body) and (rule["node"] in nodes) == (kind == "uses")
    raise ValueError(f"no rule {kind}")
