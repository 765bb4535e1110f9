"""How the code of tests is changed before it runs: what it asks of the program is marked, and what it asserts."""
import ast

from survey import lone_assert


def mark(survey, asked, strict):
    """Calls of the program's names, and assertions, so that it is known which have held."""
    for node in survey.calls:
        if node.func.id in asked:
            node.func.id += "()"
    if strict or not lone_assert(survey.tree):
        for node in survey.assertions:
            mark_assertion(node, strict)
    for node in survey.compares:
        if len(node.ops) == 1 and shares_argument(node):
            later(node)


def mark_assertion(node, strict):
    test, name = node.test, "held()"
    arguments = [test]
    if strict and isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        name, arguments = "same()", [test.comparators[0], test.left]
    function = ast.copy_location(ast.Name(name, ast.Load()), test)
    node.test = ast.copy_location(ast.Call(function, arguments, []), test)


def shares_argument(node):
    """f(data) == sorted(data): what the program makes of `data` is no measure of its answer."""
    right = node.comparators[0]
    if type(right) is ast.Constant or type(node.left) in (ast.Name, ast.Constant):
        return False
    names = {name.id for name in ast.walk(right) if isinstance(name, ast.Name)}
    calls = [call for call in ast.walk(node.left) if isinstance(call, ast.Call)] if names else []
    given = {name.id for call in calls for part in call.args for name in ast.walk(part) if isinstance(name, ast.Name)}
    return bool(names & given) and \
        not any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(node))


def later(node):
    """The right side is worked out first: left OP right becomes later()(right, left, lambda left, right: left OP right)."""
    operate = ast.Lambda(ast.arguments([], [ast.arg("left"), ast.arg("right")], None, [], [], None, []),
                         ast.Compare(ast.Name("left", ast.Load()), node.ops, [ast.Name("right", ast.Load())]))
    call = ast.Call(ast.Name("later()", ast.Load()), [node.comparators[0], node.left, operate], [])
    node.left, node.ops, node.comparators = call, [ast.IsNot()], [ast.Constant(False)]
    ast.fix_missing_locations(node)


def asked_twice(pieces, texts, names):
    """The same call in two different tests: the second knows of the first."""
    seen = {}
    for survey, text in zip(pieces, texts):
        for node in survey.calls:
            asked = text[node.col_offset:node.end_col_offset] if node.lineno == node.end_lineno == 1 else ast.dump(node)
            if node.func.id.removesuffix("()") in names and seen.setdefault(asked, text) != text:
                return True
    return False
