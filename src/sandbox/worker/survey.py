"""What can be known of tests before any program runs: which names are whose, what they import, whether they assert."""
import ast
import builtins
import importlib

# Modules a test may name without importing them (MBPP 596 uses sys, HumanEval 32 and others math).
MODULES = frozenset(("math", "cmath", "sys", "re", "string", "collections", "itertools", "functools", "operator", "random",
                     "copy", "heapq", "bisect", "json", "datetime", "decimal", "fractions", "statistics", "typing"))
# What else a test may use without importing it. It comes from the judge: a program's own would judge itself.
WELL_KNOWN = {name: module for module, names in {
    "collections": "Counter OrderedDict defaultdict deque namedtuple",
    "copy": "deepcopy", "datetime": "date timedelta", "decimal": "Decimal", "fractions": "Fraction", "functools": "partial reduce",
    "itertools": "accumulate chain combinations islice permutations product zip_longest",
    "math": "ceil floor inf isclose isfinite isinf isnan nan sqrt",
    "typing": "Any Dict List Optional Set Tuple Union",
}.items() for name in names.split()}
ALIASES = {"np": "numpy", "numpy": "numpy", "pd": "pandas", "pandas": "pandas", "pytest": "pytest"}
IMPORT_ERRORS = frozenset(("ImportError", "ModuleNotFoundError", "Exception", "BaseException"))


class Broken(Exception):
    """The tests themselves cannot be run. Raised only while nothing of the program has reached them: what a program
    does has no part in it."""


def judges_own(name):
    """Found in the judge where neither tests nor set-up define it."""
    return hasattr(builtins, name) or name in MODULES or name in WELL_KNOWN or name in ALIASES


def fetch(name):
    """What the judge has of that name. ImportError where it has not."""
    if hasattr(builtins, name):
        return getattr(builtins, name)
    if name in WELL_KNOWN:
        return getattr(importlib.import_module(WELL_KNOWN[name]), name)
    return importlib.import_module(ALIASES.get(name, name))


def parsed(text, place):
    if text.startswith("\ufeff"):  # a byte order mark
        text = text[1:]
    try:
        return ast.parse(text, place)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Broken(f"{place} does not compile: {error}") from None


def lone_assert(tree):
    return len(tree.body) == 1 and isinstance(tree.body[0], ast.Assert)


def plain_call(tree, text):
    """The call of `assert f(...) ...` where f can only be the program's: what a survey would find out, slowly."""
    if not lone_assert(tree) or ":=" in text or "lambda" in text or "for" in text:
        return None
    node = tree.body[0].test
    if type(node) is ast.Compare:
        node = node.left
    if type(node) is not ast.Call or type(node.func) is not ast.Name or judges_own(node.func.id):
        return None
    return node


def handler_names(handler):
    """The names of classes that an except clause catches."""
    if handler.type is None:
        return {"BaseException"}
    return {node.attr if isinstance(node, ast.Attribute) else node.id for node in ast.walk(handler.type)
            if isinstance(node, (ast.Name, ast.Attribute))}


# Nodes that say nothing here.
SILENT = frozenset((ast.Constant, ast.Load, ast.Store, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Eq, ast.Add, ast.Sub, ast.USub,
                    ast.UnaryOp, ast.BinOp, ast.Module))


class Survey:
    """Of one piece of test code."""

    def __init__(self, tree, place):
        self.tree, self.place = tree, place
        self.compares, self.assertions = [], []
        self.loads, self.bound, self.assigned, self.imported = set(), set(), set(), set()
        self.calls = []  # of plain names
        self.imports, self.other_checks = [], False
        self.functions, self.decorators = set(), []
        self.keeps = False  # a value of an expression, in a name
        self.tries, self.withs = [], {}  # (first line, last line, names caught); line: whether it holds an assertion
        guarded, self.made, self.ignored = set(), set(), set()
        for node in ast.walk(tree):
            self.see(node, guarded)
        self.imports = [node for node in self.imports if id(node) not in guarded]

    def see(self, node, guarded):
        kind = type(node)
        if kind in SILENT:
            return
        if kind is ast.Name:
            (self.loads if type(node.ctx) is ast.Load else self.assigned).add(node.id)
        elif kind is ast.Call:
            self.see_call(node)
        elif kind is ast.Attribute:
            self.made.add(id(node.value))  # Solution() in Solution().f
        elif kind is ast.Expr:
            self.ignored.add(id(node.value))
        elif kind is ast.arg:
            self.bound.add(node.arg)
        elif kind in (ast.Import, ast.ImportFrom):
            self.imports.append(node)
            self.imported.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif kind is ast.Assert:
            self.assertions.append(node)
        elif kind is ast.Compare:
            self.compares.append(node)
        elif kind is ast.NamedExpr:
            self.keeps = True
        elif kind is ast.Raise:
            self.other_checks = True
        elif kind is ast.Try:
            caught = set().union(*map(handler_names, node.handlers))
            self.tries.append((node.body[0].lineno, node.body[-1].end_lineno, caught))
            if caught & IMPORT_ERRORS:
                guarded.update(id(inner) for part in node.body for inner in ast.walk(part))
        elif kind is ast.With:
            self.withs[node.lineno] = any(isinstance(inner, ast.Assert) for inner in ast.walk(node))
        elif kind is ast.FunctionDef:
            self.bound.add(node.name)
            self.functions.add(node.name)
            self.decorators += [name for name in node.decorator_list if isinstance(name, ast.Name)]
        elif kind is not ast.alias and type(getattr(node, "name", None)) is str:
            self.bound.add(node.name)

    def see_call(self, node):
        if type(node.func) is ast.Name:
            self.calls.append(node)
        name = node.func.id if type(node.func) is ast.Name else getattr(node.func, "attr", "")
        self.other_checks = self.other_checks or name.startswith(("assert", "fail"))

    def own(self, imports=True):
        return self.bound | self.assigned | (self.imported if imports else set())

    def without_arguments(self, names):
        """A call that can only answer otherwise because something has happened, or that is made for what it does."""
        return any(node.func.id in names and id(node) not in self.made and
                   (id(node) in self.ignored or not (node.args or node.keywords)) for node in self.calls)

    def require_crossing(self, asked, functions):
        """A function of the tests cannot cross to the program."""
        for node in self.calls:
            given = (*node.args, *(keyword.value for keyword in node.keywords)) if node.func.id in asked else ()
            if any(isinstance(part, ast.Lambda) or isinstance(part, ast.Name) and part.id in functions for part in given):
                raise Broken(f"{self.place}, line {node.lineno}: a function of the tests cannot cross to the program")
        for node in self.decorators:
            if node.id in asked:
                raise Broken(f"{self.place}, line {node.lineno}: a function of the tests cannot cross to the program")

    def require_imports(self):
        for node in self.imports:
            for alias in node.names:
                self.require_import(node, alias.name)

    def require_import(self, node, name):
        try:
            if isinstance(node, ast.Import):
                importlib.import_module(name)
            elif node.level or node.module is None:
                raise ImportError("an import relative to a package")
            elif name != "*" and not hasattr(importlib.import_module(node.module), name):
                importlib.import_module(f"{node.module}.{name}")
        except Exception as error:
            raise Broken(f"{self.place}, line {node.lineno}: {type(error).__name__}: {error}") from None


def tested_builtin(survey):
    """A test that names nothing but builtins and well-known names means the program's function of that name
    (MBPP 126: sum). Of several the innermost call: abs(sum(3, 4) - 7). Types come last: set(sum(x))."""
    calls = [node for node in survey.calls if judges_own(node.func.id) and node.func.id not in survey.own()]

    def rank(name):
        value = getattr(builtins, name, None)
        return 0 if name in MODULES or name in ALIASES else 2 if isinstance(value, type) else 1
    best = min((rank(node.func.id) for node in calls), default=0)
    calls = [node for node in calls if rank(node.func.id) == best]
    for node in calls:
        if not any(inner is not node and any(inner is call for call in calls) for inner in ast.walk(node)):
            return {node.func.id}
    return set()


def program_part(tree):
    """What of set-up the program gets as well: its imports, exception classes, LeetCode's node classes, and the
    constants float("inf") and float("-inf"). All else is the tests' own. Its text, and the names of those exceptions."""
    raisable = set()

    def is_import(node):
        if isinstance(node, ast.Try):
            return all(isinstance(part, (ast.Import, ast.ImportFrom, ast.Pass))
                       for body in (node.body, node.orelse, node.finalbody, *(h.body for h in node.handlers)) for part in body)
        return isinstance(node, (ast.Import, ast.ImportFrom))

    def is_small(part):  # no place for a table
        return isinstance(part, (ast.FunctionDef, ast.Pass)) or \
            isinstance(part, (ast.Assign, ast.AnnAssign, ast.Expr)) and isinstance(part.value, ast.Constant)

    def is_exception(base):
        name = getattr(base, "id", "")
        known = getattr(builtins, name, None)
        return name in raisable or isinstance(known, type) and issubclass(known, BaseException)

    def belongs(node):
        if isinstance(node, ast.ClassDef):
            if any(map(is_exception, node.bases)) and all(map(is_small, node.body)):
                raisable.add(node.name)
            return node.name in raisable or node.name in ("ListNode", "TreeNode")
        if isinstance(node, ast.Assign):
            return ast.unparse(node.value) in ("float('inf')", "float('-inf')")
        return is_import(node)
    parts = [node for node in tree.body if belongs(node)]
    return ast.unparse(ast.Module(parts, [])) if parts else "", sorted(raisable)


def failed_test(error):
    """Which test did not hold. The text of an assertion without one is its place."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith(("test ", "check", "setup")):
            place = f"{name}, line {trace.tb_lineno}: " if name in ("check", "setup", "setup_for_program") else f"{name}: "
        trace = trace.tb_next
    try:
        text = " ".join(str(error).split())
    except BaseException:
        text = ""
    kind = "" if isinstance(error, AssertionError) else type(error).__name__ + ": "
    return (text if text.startswith("test ") else place + kind + text).rstrip(": ")


def by_itself(error, surveys):
    """Whether what failed names nothing but built-in functions, where every program would come: 1 / 0, int("x")."""
    trace, place = error.__traceback__, None
    while trace is not None:
        survey = surveys.get(trace.tb_frame.f_code.co_filename)
        if survey:
            positions = list(trace.tb_frame.f_code.co_positions())
            place = survey, positions[trace.tb_lasti // 2]
        trace = trace.tb_next
    if place is None or isinstance(error, AssertionError):
        return False
    survey, (line, last_line, column, last_column) = place
    body = [part for node in survey.tree.body
            for part in (node.body if isinstance(node, ast.FunctionDef) and node.name == "check" else [node])]
    parts = [part for part in body if isinstance(part, (ast.Expr, ast.Assign, ast.Assert))]
    while parts:  # down to the expression, past nothing that is worked out only sometimes
        part = parts.pop()
        if isinstance(part, (ast.BoolOp, ast.IfExp, ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)):
            continue
        found = (getattr(part, name, None) for name in ("lineno", "end_lineno", "col_offset", "end_col_offset"))
        if isinstance(part, ast.expr) and tuple(found) == (line, last_line, column, last_column):
            return all(hasattr(builtins, node.id) for node in ast.walk(part) if isinstance(node, ast.Name))
        parts.extend(ast.iter_child_nodes(part))
    return False
