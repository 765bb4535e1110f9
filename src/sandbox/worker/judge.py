"""The judge's side: holds the tests, asks the program over pipes, and gives the verdict.

The program is a list of names to it. A name the tests use and nobody here defines is a Remote; calling one
sends the arguments by value and brings the result back by value. What is not plain data stays over there and
is a Handle here: good as an argument of another call, and for nothing that a test could decide by.
"""
import ast
import builtins
import importlib
import os
import random
import reprlib
import time

import candidate
import codec

# Modules a test may name without importing them (MBPP 596 uses sys, HumanEval 32 and others math).
MODULES = frozenset(("math", "cmath", "sys", "re", "string", "collections", "itertools", "functools", "operator", "random",
                     "copy", "heapq", "bisect", "json", "datetime", "decimal", "fractions", "statistics", "typing"))
SHOWN = 300  # characters of a detail
LARGE_REPLY = 1 << 20
REPLAYS = 16  # calls that are asked again
REPLAY_CALL_S, REPLAY_TOTAL_S = 0.05, 0.1


class Stop(BaseException):
    """The verdict stands, whatever the test code would make of it."""

    def __init__(self, verdict, detail):
        super().__init__(verdict, detail)
        self.verdict, self.detail = verdict, detail


class Broken(Exception):
    """The tests themselves cannot be run."""


class Remote:
    """An object of the program that is reached by name: called, or fetched by value when it is used."""
    __slots__ = ("_channel", "_target")

    def __init__(self, channel, target):
        object.__setattr__(self, "_channel", channel)
        object.__setattr__(self, "_target", target)

    def __call__(self, *arguments, **keywords):
        return self._channel.ask("call", self._target, list(arguments), keywords)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Remote(self._channel, ["attr", self._target, name])

    def __setattr__(self, name, value):
        self._channel.ask("set", self._target, [name, value], {})


class Handle(Remote):
    """A result that is not plain data."""
    __slots__ = ("_why",)

    def __init__(self, channel, index, why):
        super().__init__(channel, ["handle", index])
        object.__setattr__(self, "_why", why)

    def __iter__(self):
        return iter(self._channel.ask("list", self._target, [], {}))


def by_value(name):
    def operate(self, *others):
        return getattr(operator_value(self), name)(*others)
    return operate


def operator_value(remote):
    """What a test may look at: an attribute of the program is fetched, an object that is no data ends it."""
    if isinstance(remote, Handle):
        remote._channel.stop("BAD_VALUE", f"the result is {remote._why}, not plain data")
    value = remote._channel.ask("get", remote._target, [], {})
    if isinstance(value, Remote):
        remote._channel.stop("BAD_VALUE", f"the test looks at {value._why}, not plain data")
    return value


def define_operators():
    for name in ("eq ne lt le gt ge add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow "
                 "neg pos abs invert and rand or ror xor rxor len contains getitem bool int float index round hash "
                 "repr str format").split():
        setattr(Remote, f"__{name}__", by_value(f"__{name}__"))
    Remote.__iter__ = by_value("__iter__")
    Remote.__bool__ = lambda self: bool(operator_value(self))
    Remote.__eq__ = lambda self, other: operator_value(self) == other
    Remote.__ne__ = lambda self, other: operator_value(self) != other


define_operators()


class Channel:
    """The pipes to the program: one request, one reply."""

    def __init__(self, requests, replies, tag):
        self.requests, self.replies, self.tag = requests, replies, tag
        self.names = {}  # the tests' own: classes that nodes from the program become
        self.encoder = codec.Encoder(self.special)
        self.decoder = codec.Decoder({"L": self.linked, "T": self.tree})
        self.stopped = None
        self.calls = []  # (request text, reply text, seconds): calls by name with plain data both ways
        self.overrides = {}
        self.last = None  # the last result, for details
        self.clean = True  # nothing has run here that could leave a trace for the next program's tests
        self.adapt = False

    def stop(self, verdict, detail):
        self.stopped = self.stopped or Stop(verdict, detail)
        raise self.stopped

    def special(self, value):
        kind = type(value)
        if kind is Handle:
            return {"h": value._target[1]}
        if kind is Remote and value._target[0] == "name":
            return {"n": value._target[1]}
        if isinstance(value, type) and codec.BUILTIN_TYPES.get(value.__name__) is value:
            return {"y": value.__name__}
        if kind.__name__ == "ListNode":
            return {"L": [self.encoder.form(v, 8) for v in candidate.list_values(value)]}
        if kind.__name__ == "TreeNode":
            return {"T": [self.encoder.form(v, 8) for v in candidate.tree_values(value)]}
        raise codec.NotPlain(f"an object of type {kind.__name__}")

    def linked(self, values):
        node_class = self.names.get("ListNode")
        return candidate.make_list(values, node_class) if node_class else values

    def tree(self, values):
        node_class = self.names.get("TreeNode")
        return candidate.make_tree(values, node_class) if node_class else values

    def exchange(self, payload):
        """The reply to a request, as it came."""
        try:
            heard = payload is None or codec.write_frame(self.requests, self.tag, payload)
            reply = codec.read_frame(self.replies, self.tag) if heard else None
        except codec.Malformed as why:
            self.stop("NO_VERDICT", str(why))
        if reply is None:
            self.stop("GONE", "the program ended before it answered")
        self.clean = self.clean and len(reply) < LARGE_REPLY
        return reply

    def understood(self, payload):
        try:
            reply = self.decoder.value(payload)
        except codec.Malformed as why:
            self.stop("BAD_VALUE", str(why))
        if type(reply) is not list or not reply or type(reply[0]) is not str:
            self.stop("NO_VERDICT", "a reply of no known kind")
        return reply

    def ask(self, verb, target, arguments, keywords):
        if self.stopped:
            raise self.stopped
        try:
            payload = codec.json_text(self.encoder.plain([verb, target, arguments, keywords, self.adapt]))
        except codec.NotPlain as why:
            raise Broken(f"the test passes {why}, which cannot cross to the program") from None
        reply = self.overrides.get(payload)
        if reply is None:
            start = time.perf_counter()
            reply = self.exchange(payload)
            if verb == "call" and b'{"h":' not in payload and b'"handle"' not in payload:
                self.calls.append((payload, reply, time.perf_counter() - start))
        return self.result(self.understood(reply))

    def result(self, reply):
        verdicts = {"missing": "NO_ENTRY", "memory": "MEMORY", "stack": "CRASH", "processes": "PROCESSES",
                    "large": "BAD_VALUE", "syntax": "SYNTAX"}
        kind, length = reply[0], {"handle": 3, "raised": 5}.get(reply[0], 2)
        if len(reply) != length or (length == 3 and type(reply[1]) is not int):
            self.stop("NO_VERDICT", "a reply of no known kind")
        if kind == "value":
            self.last = (reply[1],)
            return reply[1]
        if kind == "handle":
            return Handle(self, reply[1], str(reply[2])[:SHOWN])
        if kind == "raised":
            self.raise_again(*reply[1:])
        if kind not in verdicts:
            self.stop("NO_VERDICT", "a reply of no known kind")
        text = "stack overflow: a recursion without an end" if kind == "stack" else str(reply[1])[:SHOWN]
        self.stop(verdicts[kind], text)

    def raise_again(self, builtin, name, text, line):
        kind = getattr(builtins, str(builtin), None)
        if not (isinstance(kind, type) and issubclass(kind, BaseException)) or kind in (SystemExit, GeneratorExit):
            kind = Exception
        detail = f"{str(name)[:80]}: {str(text)[:SHOWN]}" + (f" (line {line})" if type(line) is int else "")
        try:
            error = kind(str(text)[:SHOWN])
        except TypeError:  # UnicodeDecodeError and the like want more
            error = Exception(str(text)[:SHOWN])
        error.of_program = detail
        raise error


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
        for tree in self.asserts:
            self.reserved.update(shadowed(tree))

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


def shadowed(tree):
    """A test that calls nothing but builtins means the program's function of that name (MBPP 126: sum)."""
    called = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return called[:1] if called and all(hasattr(builtins, name) for name in called) else []


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
    os.write(verdicts, codec.json_text([verdict, detail[:1000]]))
    return channel.clean
