"""The tests of a program: read, tried as far as they go without it, and run.

What is wrong with them by then is said of them (Broken), and no program can have a part in it.
"""
import ast
import builtins
import json.decoder
import json.scanner
import random
import types

import codec
import mirror
from comparing import near, same, shown
from marking import asked_twice, mark
from remote import Named, NeedsProgram, Unknown
from survey import (Broken, Survey, fetch, failed_test, judges_own, lone_assert, parsed, plain_call, program_part,
                    tested_builtin)

REPLAYS = 16  # calls that are asked again
REPLAY_CALL_S, REPLAY_TOTAL_S = 0.05, 0.1
REPLAY_ANY_S = 0.5  # the cheapest call is asked again whatever the others cost, if it is cheaper than this

scan_json = json.scanner.c_make_scanner(types.SimpleNamespace(
    strict=False, object_hook=None, object_pairs_hook=None, parse_float=float, parse_int=int,
    parse_constant=json.decoder._CONSTANTS.__getitem__, memo={}))


class Names(dict):
    """The names of the tests. What they do not define is the judge's or the program's."""

    def __init__(self, channel, of_program):
        super().__init__({"__name__": "tests"})
        self.channel, self.of_program = channel, of_program

    def __missing__(self, name):
        if name.endswith("()"):  # how a survey marks a name that is called, and nothing else is done with
            self[name] = Named(self.channel, ["name", name[:-2]])
        elif name.startswith("__"):
            raise KeyError(name)
        elif judges_own(name) and name not in self.of_program:
            self[name] = fetch(name)
            self.channel.clean = self.channel.clean and hasattr(builtins, name)
        else:
            return self.channel.look(name)
        return self[name]


class Tests:
    """The tests' own names, and the pieces of test code that must all run through."""

    def __init__(self, job, channel):
        self.channel, self.job = channel, job
        self.random = random.Random(job["seed"])
        self.entry = entry_target(job["entry_point"])
        self.tests = tests_of(job["tests"])
        self.setup = parsed(job["setup"], "setup") if job["setup"] else None
        self.given = parsed(job["setup_for_program"], "setup_for_program") if job["setup_for_program"] else None
        self.prelude, given = program_part(self.setup) if self.setup else ("", [])
        channel.given = frozenset(given)  # exception classes that both sides have
        self.check = parsed(job["check"], "check") if job["check"] else None
        self.asserts = [parsed(text, f"test {n}") for n, text in enumerate(job["assert_tests"], 1)]
        self.of_program = set()  # names, though the judge has others of that name
        self.ordered = job["ordered"]  # each test builds on those before it
        self.checks_otherwise = False  # by raise, or by methods such as assertEqual
        self.held = 0  # assertions
        self.set_up = False  # trying the tests has run set-up already
        self.independent = False  # nothing but lone assertions, and nothing for them to share
        if not self.plain_asserts():
            self.survey()

    def plain_asserts(self):
        """Most tests are nothing but `assert f(1) == 2`, and need no survey."""
        calls = [plain_call(tree, text) for tree, text in zip(self.asserts, self.job["assert_tests"])]
        if not calls or None in calls or self.setup or self.given or self.job["strict"]:
            return False
        seen = {}
        for call, text in zip(calls, self.job["assert_tests"]):
            asked = text[call.col_offset:call.end_col_offset]
            self.ordered |= not (call.args or call.keywords) or seen.setdefault(asked, text) != text
            call.func.id += "()"
        self.independent = True
        return True

    def survey(self):
        trees = [(self.setup, "setup"), (self.check, "check")]
        trees += [(tree, f"test {n}") for n, tree in enumerate(self.asserts, 1)]
        surveys = {place: Survey(tree, place) for tree, place in trees if tree}
        self.channel.surveys = surveys
        self.channel.watching = not self.tests
        own = set().union(*(survey.own() for survey in surveys.values()))
        loads = set().union(*(survey.loads for survey in surveys.values()))
        root = self.entry and root_of(self.entry)
        asked = {name for name in loads - own if not judges_own(name)}
        if root in loads and not any(root in survey.own(imports=False) for survey in surveys.values()):
            asked.add(root)
        pieces = [surveys[f"test {n}"] for n in range(1, len(self.asserts) + 1)]
        if not asked and not self.check:
            asked = set().union(*map(tested_builtin, pieces))
        self.of_program = asked
        self.require_sound(surveys, loads - own - asked)
        candidate = {node.args.args[0].arg for node in self.check.body if isinstance(node, ast.FunctionDef) and
                     node.name == "check" and node.args.args} if self.check else set()
        for survey in surveys.values():
            self.ordered |= survey.without_arguments(asked | candidate)
            mark(survey, asked, self.job["strict"])
        shared = surveys["setup"].assigned if self.setup else set()
        lone = all(map(lone_assert, self.asserts)) and not any(survey.keeps for survey in pieces)
        self.ordered |= any(survey.loads & shared for survey in pieces) or not lone
        self.ordered = self.ordered or asked_twice(pieces, self.job["assert_tests"], asked)
        self.independent = bool(self.asserts) and lone and not self.setup

    def require_sound(self, surveys, judges):
        functions = set().union(*(survey.functions for survey in surveys.values()))
        for survey in surveys.values():
            survey.require_imports()
            survey.require_crossing(self.of_program, functions)
        for name in sorted(judges):
            try:
                if judges_own(name):
                    fetch(name)
            except ImportError as error:
                raise Broken(f"the tests use {name}: {error}") from None
        if self.check and "check" not in surveys["check"].own():
            raise Broken("check defines no function check(candidate)")
        self.checks_otherwise = any(survey.other_checks for survey in surveys.values())
        if not self.tests and not self.checks_otherwise and not any(survey.assertions for survey in surveys.values()):
            raise Broken("the tests hold no assertion")

    # Trying the tests without a program.

    def rehearse(self):
        """Everything that set-up and check do before they ask the program."""
        self.channel.rehearsing = True
        if self.given:
            names = {"__name__": "program"}
            exec(self.prelude, names)
            self.attempt(self.given, "setup_for_program", names)
        if self.setup or self.check:
            self.fresh_names()
            complete = not self.setup or self.attempt(self.setup, "setup", self.names)
            self.set_up = complete and not self.check
            if self.check and complete and self.attempt(self.check, "check", self.names):
                self.rehearse_check()
        self.channel.rehearsing = False

    def attempt(self, tree, place, names):
        """True where it asks no program."""
        try:
            exec(compiled(tree, place), names)
            return True
        except NeedsProgram:
            return False
        except Broken:
            raise
        except Exception as error:
            raise Broken(failed_test(error)) from None

    def rehearse_check(self):
        self.require_check()
        try:
            self.names["check"](Unknown(self.channel))
        except (NeedsProgram, AssertionError):
            pass
        except Broken:
            raise
        except Exception as error:
            raise Broken(failed_test(error)) from None

    def require_check(self):
        check = self.names.get("check")
        if not callable(check) or mirror.link_of(check):
            raise Broken("check defines no function check(candidate)")

    # Running them.

    def fresh_names(self):
        self.names = self.channel.names = Names(self.channel, self.of_program)
        self.names["held()"], self.names["same()"] = self.hold, self.hold_same
        self.names["later()"] = lambda right, left, operate: operate(left, right)

    def hold(self, value):
        truth = bool(value)
        self.held += truth
        return truth

    def hold_same(self, right, left):
        return self.hold(same(left, right))

    def execute(self, tree, place):
        """Runs trusted code with the program's names in reach."""
        code = compiled(tree, place)
        self.channel.clean = self.channel.clean and lone_assert(tree)
        exec(code, self.names)
        self.held += lone_assert(tree)

    def pieces(self):
        """Functions of no arguments, each a test; shuffled where they do not depend on each other."""
        if self.check:
            return [self.run_check]
        if self.asserts:
            pieces = [lambda tree=tree, n=n: self.execute(tree, f"test {n}") for n, tree in enumerate(self.asserts, 1)]
        else:
            self.channel.adapt = True
            pieces = [lambda test=test, n=n: self.compare(test, n) for n, test in enumerate(self.tests, 1)]
            self.ordered |= told_apart(self.tests, self.channel.encoder)
        return pieces if self.ordered else self.shuffled(pieces)

    def shuffled(self, pieces):
        """A cyclic permutation (Sattolo): no test is asked at its own place in the list."""
        for i in range(len(pieces) - 1, 0, -1):
            j = self.random.randrange(i)
            pieces[i], pieces[j] = pieces[j], pieces[i]
        return pieces

    def run_check(self):
        self.execute(self.check, "check")
        self.require_check()
        candidate = self.channel.ask("get", self.entry, [], {})
        link = mirror.link_of(candidate)
        if link and not isinstance(candidate, type):
            link.target = self.entry  # "Class().method": each call makes its object
        self.names["check"](candidate)

    def compare(self, test, number):
        found = self.channel.ask("call", self.entry, test["args"], test["kwargs"])
        if mirror.link_of(found) and not isinstance(found, (int, str)):
            mirror.not_plain(found)
        holds = same(found, test["expected"], test["tol"]) if self.job["strict"] else near(found, test["expected"], test["tol"])
        if not holds:
            raise AssertionError(f"test {number}: found {shown(found)}, expected {shown(test['expected'])}")
        self.held += 1

    def run(self):
        self.held = 0
        if not self.set_up:
            self.fresh_names()
            if self.setup:
                self.execute(self.setup, "setup")
        self.set_up = False  # where the tests run once more, they begin anew
        for piece in self.pieces():
            if self.independent:
                self.channel.heard = False
            piece()
        if not (self.held or self.checks_otherwise):
            raise AssertionError("no assertion was reached")

    def ask_again(self):
        """An answer that depends on the number of the call, or on having been asked before, is no answer: some calls are
        made once more, in another order, and the tests must hold with what comes then. A repetition that raises, or
        that costs the program its limits (slot.cpp), proves nothing: what makes a folder cannot make it twice."""
        calls, self.channel.calls = self.channel.calls, []
        answers = {}
        for payload, reply, _ in calls:
            if answers.setdefault(payload, reply) != reply:
                return  # the tests themselves know that it goes on from call to call
        fresh = list({payload: (payload, reply, s) for payload, reply, s in calls}.values())
        self.shuffled(fresh)
        cheapest = min(fresh, key=lambda call: call[2])
        budget = REPLAY_TOTAL_S
        for call in fresh[:REPLAYS]:
            payload, reply, seconds = call
            if call is not cheapest and (seconds > REPLAY_CALL_S or seconds > budget):
                continue
            budget -= seconds
            again = self.channel.exchange(payload)
            if again != reply and again.startswith(b'["value",'):
                self.channel.overrides[payload] = again
        if self.channel.overrides:
            self.run()

    def to_be_asked_again(self):
        return not self.ordered and any(seconds < REPLAY_ANY_S for _, _, seconds in self.channel.calls)


def compiled(tree, place):
    try:
        return compile(tree, place, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise Broken(f"{place} does not compile: {error}") from None


def told_apart(tests, encoder):
    """Equal arguments with different results."""
    seen = {}
    for test in tests:
        try:
            given = codec.json_text(encoder.plain([test["args"], test["kwargs"]]))
        except codec.NotPlain:
            continue
        if not near(seen.setdefault(given, test)["expected"], test["expected"], 0):
            return True
    return False


def root_of(target):
    while target[0] != "name":
        target = target[1]
    return target[1]


def entry_target(text):
    """"f" or "Class().method" as the program resolves it; checked by whoever sent it (program.cpp)."""
    def target(node):
        if isinstance(node, ast.Name):
            return ["name", node.id]
        if isinstance(node, ast.Attribute):
            return ["attr", target(node.value), node.attr]
        if isinstance(node, ast.Call) and not node.args and not node.keywords:
            return ["new", target(node.func)]
        raise Broken(f"found the entry point {text!r}, expected f or Class().method")
    try:
        return target(ast.parse(text, mode="eval").body) if text else None
    except (SyntaxError, ValueError):
        raise Broken(f"found the entry point {text!r}, expected f or Class().method") from None


def tests_of(text):
    """Arguments and results of each test: JSON with integers of any size and objects in their order, or literals."""
    tests = scan_json(text, 0)[0] if text else []
    return [{"args": list(literal(test, "args", number)), "expected": literal(test, "expected", number),
             "kwargs": test.get("kwargs") or {}, "tol": test.get("tol") or 0} for number, test in enumerate(tests, 1)]


def literal(test, field, number):
    text = test.get(field + "_py")
    if text is None:
        return test[field]
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise Broken(f"test {number}: {field}_py is not plain data: {error}") from None
    if field == "args" and not isinstance(value, (list, tuple)):
        raise Broken(f"test {number}: args_py is {shown(value)}, expected a list or tuple of arguments")
    return value
