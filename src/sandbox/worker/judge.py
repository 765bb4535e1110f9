"""The judge's side: holds the tests, asks the program over pipes (remote.py), and gives the verdict."""
import ast
import builtins
import importlib
import os
import random
import reprlib

import codec
from remote import SHOWN, Broken, Channel, Handle, Remote, Stop

# Modules a test may name without importing them (MBPP 596 uses sys, HumanEval 32 and others math).
MODULES = frozenset(("math", "cmath", "sys", "re", "string", "collections", "itertools", "functools", "operator", "random",
                     "copy", "heapq", "bisect", "json", "datetime", "decimal", "fractions", "statistics", "typing"))
TRACELESS = frozenset(("PASS", "WRONG", "ERROR", "NO_ENTRY", "SYNTAX"))
REPLAYS = 16  # calls that are asked again
REPLAY_CALL_S, REPLAY_TOTAL_S = 0.05, 0.1


def shown(value):
    try:
        text = reprlib.repr(value)
    except BaseException as error:
        text = f"a value whose repr raises {type(error).__name__}"
    return text[:SHOWN]


def free_names(code, found):
    found.update(code.co_names)
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            free_names(constant, found)
    return found


class Tests:
    """The tests' own names, and the pieces of test code that must all run through."""

    def __init__(self, job, channel):
        self.channel, self.job = channel, job
        self.names = channel.names
        self.names["__name__"] = "tests"
        self.random = random.Random(job["seed"])
        self.entry = entry_target(job["entry_point"])
        self.asserts = [parsed(text, f"test {n}") for n, text in enumerate(job["assert_tests"], 1)]
        # Names that are the program's, though there are builtins of the same name.
        self.reserved = {self.root(self.entry)} if self.entry else set()
        own = bound(parsed(job["setup"], "setup")) if job["setup"] else frozenset()
        for tree, text in zip(self.asserts, job["assert_tests"]):
            if not plainly_asks(tree, text, own):
                self.reserved.update(shadowed(tree, own))

    @staticmethod
    def root(target):
        while target[0] != "name":
            target = target[1]
        return target[1]

    def execute(self, tree, place):
        """Runs trusted code with the program's names in reach."""
        try:
            code = compile(tree, place, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise Broken(f"{place} does not compile: {error}") from None
        self.channel.clean = self.channel.clean and lone_assert(tree)
        for name in free_names(code, set()):
            if name in self.names or (hasattr(builtins, name) and name not in self.reserved):
                continue
            if name in MODULES and name not in self.reserved:
                self.names[name] = importlib.import_module(name)
                self.channel.clean = False
            else:
                self.names[name] = Remote(self.channel, ["name", name])
        exec(code, self.names)

    def prepare(self):
        """Setup runs here as well: what it defines no program can replace."""
        if self.job["setup"]:
            self.execute(parsed(self.job["setup"], "setup"), "setup")
        for name in self.reserved:
            self.names[name] = Remote(self.channel, ["name", name])

    def pieces(self):
        """Functions of no arguments, each a test; shuffled where they do not depend on each other."""
        if self.job["check"]:
            return [self.run_check]
        if self.job["assert_tests"]:
            pieces = [lambda tree=tree, n=n: self.execute(tree, f"test {n}") for n, tree in enumerate(self.asserts, 1)]
            return self.shuffled(pieces) if all(map(lone_assert, self.asserts)) else pieces
        if not self.entry:
            raise Broken(f"found the entry point {self.job['entry_point']!r}, expected f or Class().method")
        self.channel.adapt = True
        return self.shuffled([lambda test=test, n=n: self.compare(test, n) for n, test in enumerate(self.job["tests"], 1)])

    def shuffled(self, pieces):
        """A cyclic permutation (Sattolo): no test is asked at its own place in the list."""
        for i in range(len(pieces) - 1, 0, -1):
            j = self.random.randrange(i)
            pieces[i], pieces[j] = pieces[j], pieces[i]
        return pieces

    def run_check(self):
        if not self.entry:
            raise Broken(f"found the entry point {self.job['entry_point']!r}, expected f or Class().method")
        self.execute(parsed(self.job["check"], "check"), "check")
        check = self.names.get("check")
        if not callable(check) or isinstance(check, Remote):
            raise Broken("check defines no function check(candidate)")
        check(Remote(self.channel, self.entry))

    def compare(self, test, number):
        arguments = literal(test, "args", number)
        expected = literal(test, "expected", number)
        found = self.channel.ask("call", self.entry, list(arguments), test.get("kwargs", {}))
        if isinstance(found, Handle):
            self.channel.stop("BAD_VALUE", f"test {number}: the result is {found._why}, not plain data")
        if not near(found, expected, test.get("tol", 0)):
            raise AssertionError(f"test {number}: found {shown(found)}, expected {shown(expected)}")

    def run(self):
        for piece in self.pieces():
            piece()

    def ask_again(self):
        """An answer that depends on the number of the call, or on having been asked before, is no answer:
        some calls are made once more, in another order, and the tests must hold with what comes then."""
        calls, self.channel.calls = self.channel.calls, []
        fresh = list({payload: (payload, reply, s) for payload, reply, s in calls}.values())
        self.shuffled(fresh)
        cheapest = min(fresh, key=lambda call: call[2], default=None)
        budget = REPLAY_TOTAL_S
        for call in fresh[:REPLAYS]:
            payload, reply, seconds = call
            if call is not cheapest and (seconds > REPLAY_CALL_S or seconds > budget):
                continue
            budget -= seconds
            again = self.channel.exchange(payload)
            if again != reply:
                self.channel.overrides[payload] = again
        if self.channel.overrides:
            self.run()


def parsed(text, place):
    try:
        return ast.parse(text, place)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise Broken(f"{place} does not compile: {error}") from None


def lone_assert(tree):
    return len(tree.body) == 1 and isinstance(tree.body[0], ast.Assert)


def bound(tree):
    """The names that some code defines."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    names.update(node.name for node in ast.walk(tree) if hasattr(node, "name"))
    names.update(node.arg for node in ast.walk(tree) if isinstance(node, ast.arg))
    return names


def plainly_asks(tree, text, own):
    """assert f(...) ..., where f can only be the program's: what `shadowed` would find out, slowly."""
    if not lone_assert(tree) or ":=" in text or "lambda" in text or "for" in text:
        return False
    node = tree.body[0].test
    if type(node) is ast.Compare:
        node = node.left
    if type(node) is not ast.Call or type(node.func) is not ast.Name:
        return False
    name = node.func.id
    return name not in own and name not in MODULES and not hasattr(builtins, name)


def shadowed(tree, own):
    """A test that names nothing but builtins means the program's function of that name (MBPP 126: sum)."""
    nodes = list(ast.walk(tree))
    named = {node.id for node in nodes if type(node) is ast.Name and type(node.ctx) is ast.Load} - own
    unknown = [name for name in named if not hasattr(builtins, name) and name not in MODULES]
    if unknown and not bound(tree).issuperset(unknown):
        return []
    called = [node.func.id for node in nodes if type(node) is ast.Call and type(node.func) is ast.Name]
    return [name for name in called if hasattr(builtins, name)][:1]


def entry_target(text):
    """"f" or "Class().method" as the program resolves it; None for anything else."""
    def target(node):
        if isinstance(node, ast.Name):
            return ["name", node.id]
        if isinstance(node, ast.Attribute):
            inner = target(node.value)
            return inner and ["attr", inner, node.attr]
        if isinstance(node, ast.Call) and not node.args and not node.keywords:
            inner = target(node.func)
            return inner and ["new", inner]
        return None
    if not text:
        return None
    try:
        return target(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError):
        return None


def literal(test, field, number):
    text = test.get(field + "_py")
    if text is None:
        return test[field]
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise Broken(f"test {number}: {field}_py is not plain data: {error}") from None


def near(found, expected, tolerance):
    if found == expected:
        return True
    if not tolerance:
        return False
    numbers = (int, float, complex)
    if isinstance(found, numbers) and isinstance(expected, numbers):
        return abs(found - expected) <= tolerance
    if type(found) is not type(expected) or not isinstance(found, (list, tuple, dict)) or len(found) != len(expected):
        return False
    if isinstance(found, dict):
        return found.keys() == expected.keys() and all(near(found[k], expected[k], tolerance) for k in found)
    return all(map(near, found, expected, [tolerance] * len(found)))


def verdict_of(job, channel):
    try:
        reply = channel.understood(channel.exchange(None))
        if reply[0] != "ready":
            channel.result(reply)
        tests = Tests(job, channel)
        tests.prepare()
        tests.run()
        if not channel.stopped:
            tests.ask_again()
        if channel.stopped:
            raise channel.stopped
        return "PASS", ""
    except Stop as stop:
        return stop.verdict, stop.detail
    except Broken as why:
        return "BROKEN", str(why)
    except BaseException as error:
        if channel.stopped:
            return channel.stopped.verdict, channel.stopped.detail
        of_program = getattr(error, "of_program", None)
        if of_program:
            return "ERROR", of_program
        channel.clean = channel.clean and not isinstance(error, (MemoryError, RecursionError))
        return "WRONG", (failed_test(error) + after_override(channel))[:2 * SHOWN]


def after_override(channel):
    return "; asked again, the program answered otherwise" if channel.overrides else ""


def failed_test(error):
    """Which test did not hold. The text of an assertion without one is its place."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith(("test ", "check", "setup")):
            place = f"{name}, line {trace.tb_lineno}: " if name in ("check", "setup") else f"{name}: "
        trace = trace.tb_next
    text = " ".join(str(error).split())
    kind = "" if isinstance(error, AssertionError) else type(error).__name__ + ": "
    return (text if text.startswith("test ") else place + kind + text).rstrip(": ")


def judge(job, requests, replies, verdicts):
    """Writes the verdict. True when this process is as it was before, and may judge another program."""
    channel = Channel(requests, replies, bytes.fromhex(job["tag"]))
    verdict, detail = verdict_of(job, channel)
    if verdict == "WRONG" and channel.last is not None and "found" not in detail:
        detail += f"; the last result was {shown(channel.last[0])}"
    try:
        os.write(verdicts, codec.json_text([verdict, codec.utf8_text(detail[:1000])]))
    except BrokenPipeError:
        return False  # the supervisor has ended this run without us
    return channel.clean and verdict in TRACELESS
