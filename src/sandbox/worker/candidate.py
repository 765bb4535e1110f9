"""The program's side: runs it and answers the judge's calls by value.

Nothing here is trusted by anybody: the program shares this interpreter and may have changed all of it. What
holds its promises are the walls around the process and the judge at the other end.
"""
import collections
import errno
import math
import opcode
import os
import random
import sys
import time
import types

import codec
import handles
import linked

REPORTED = 300  # characters of an exception's text where a person reads it
LONGEST = 1 << 20  # that crosses at once; what is longer is asked for
STACK_FRAMES = 20_000  # of a recursion that ended for want of memory
AHEAD_S = 0.002  # for which an iterator runs ahead of the test, at most


class Missing(Exception):
    """A name or attribute that the program does not have: ("name" or "attribute", what to say of it)."""


class Program:
    """The loaded program: its names, and the objects the judge holds handles of."""

    def __init__(self, name, linked_nodes):
        self.module = types.ModuleType(name)
        sys.modules[name] = self.module
        self.names = self.module.__dict__
        self.linked = linked_nodes  # LeetCode's node classes are there, and cross as lists
        if linked_nodes:
            self.names.update(ListNode=linked.ListNode, TreeNode=linked.TreeNode)
        self.handles = handles.Handles()
        self.encoder = codec.Encoder(lambda value, depth: self.handles.special(self.encoder, value, depth))
        self.decoder = codec.Decoder({"h": self.handles.objects.__getitem__, "n": self.named_tuple,
                                      "L": self.make_list, "T": self.make_tree})
        self.raised_later = None  # by an iterator that ran ahead

    def named_tuple(self, content):
        kind, values = content
        if type(kind) is int:
            return self.handles.objects[kind]._make(values)
        name, fields = kind
        known = self.names.get(name)
        if not (isinstance(known, type) and issubclass(known, tuple) and getattr(known, "_fields", None) == tuple(fields)):
            known = collections.namedtuple(name, fields)
        return known._make(values)

    def node_class(self, name, otherwise):
        found = self.names.get(name)
        return found if isinstance(found, type) else otherwise

    def make_list(self, values):
        return linked.make_list(values, self.node_class("ListNode", linked.ListNode))

    def make_tree(self, values):
        return linked.make_tree(values, self.node_class("TreeNode", linked.TreeNode))

    def run(self, source, filename):
        exec(compiled(source, filename), self.names)

    def load(self, program, given, setup):
        """Runs the program after what its tests give it. None, or the reply that says why there is no program."""
        try:
            if given:
                self.run(given, "<setup>")
                self.handles.given = {id(value): name for name, value in self.names.items() if isinstance(value, type) and
                                      issubclass(value, BaseException) and value.__module__ == self.module.__name__}
            if setup:
                self.run(setup, "<setup>")
            try:
                code = compiled(program, "<program>")
            except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
                return ["syntax", one_line(error)]
            exec(code, self.names)
        except SystemExit:
            raise
        except BaseException as error:
            show(error)
            return self.failure(error)
        return None

    def resolve(self, target):
        """["name", n], ["handle", i], ["attr", target, name] or ["new", target]: an object of the program."""
        kind, content = target[0], target[1]
        if kind == "name":
            if content not in self.names:
                raise Missing("name", f"the program defines no {content[:80]}")
            return self.names[content]
        if kind == "handle":
            return self.handles.objects[content]
        subject = self.resolve(content)
        if kind == "new":
            return subject()
        try:
            return getattr(subject, target[2])
        except AttributeError as error:
            raise Missing("attribute", one_line(error)) from None

    def answer(self, request):
        """The reply to [verb, target, arguments, keywords, adapt, watched]."""
        verb, target, arguments, keywords, adapt, watched = request
        given = dict([*enumerate(arguments), *keywords.items()]) if watched else {}
        before = [self.text_of(given[at]) for at in watched]
        try:
            value = self.perform(verb, self.resolve(target), arguments, keywords, adapt)
            flush()
            objects = handles.MAX_OBJECTS if verb in ("elements", "next") else 0
            reply = ["value", self.handles.outgoing(self.encoder, value, objects)]
        except SystemExit:
            raise
        except Missing as error:
            return ["missing", *error.args]
        except BaseException as error:
            flush()
            reply = self.failure(error)
        if watched and reply[0] in ("value", "raised"):
            after = [self.text_of(given[at]) for at in watched]
            reply.append([[at, self.handles.outgoing(self.encoder, given[at], handles.MAX_OBJECTS)]
                          for at, was, now in zip(watched, before, after) if was != now])
        return reply

    def text_of(self, value):
        """What changes when the value does, or the objects in it do: only to be compared."""
        told = set(self.handles.told)
        text = codec.json_text(self.handles.outgoing(self.encoder, value, handles.MAX_OBJECTS))
        self.handles.told = told
        return text

    def perform(self, verb, subject, arguments, keywords, adapt):
        if verb == "call":
            if adapt:
                arguments = self.adapted(subject, arguments)
            return subject(*arguments, **keywords)
        if verb == "get":
            return subject
        if verb == "operate":
            name, *others = arguments
            return getattr(type(subject), name)(subject, *others)
        if verb == "next":
            return self.next_values(subject, arguments[0])
        if verb == "elements":
            return list(subject)
        if verb == "fields":
            return handles.fields_of(subject)
        raise codec.Malformed(f"no such request: {verb}")

    def next_values(self, iterator, most):
        """[values, whether that was all]. What it raises comes after the values before it."""
        if self.raised_later is not None and self.raised_later[0] is iterator:
            (_, error), self.raised_later = self.raised_later, None
            raise error
        values, end = [], time.perf_counter() + AHEAD_S
        try:
            for value in iterator:
                values.append(value)
                if len(values) >= most or time.perf_counter() > end:
                    return [values, False]
        except Exception as error:
            if not values:
                raise
            self.raised_later = (iterator, error)
            return [values, False]
        return [values, True]

    def adapted(self, function, arguments):
        """Lists where the annotations say ListNode or TreeNode become such."""
        if not self.linked:
            return arguments
        notes = getattr(function, "__annotations__", {})
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        names = code.co_varnames[:code.co_argcount] if code else ()
        if getattr(function, "__self__", None) is not None:
            names = names[1:]
        out = list(arguments)
        for at, name in enumerate(names[:len(out)]):
            note = str(notes.get(name, ""))
            make = self.make_list if "ListNode" in note else self.make_tree if "TreeNode" in note else None
            if make and isinstance(out[at], list):
                several = note.startswith(("List[", "list[", "typing.List["))
                out[at] = [make(values) for values in out[at]] if several else make(out[at])
        return out

    def failure(self, error):
        """An exception as a reply: its class, what it was made of, its text, and the object itself."""
        trace = error.__traceback__
        error.__traceback__ = None
        by_hand = raised_by_hand(trace)
        if isinstance(error, MemoryError) and not by_hand:
            # A recursion that ate the memory is a stack overflow, whoever noticed it first.
            return ["stack", STACK_FRAMES] if depth_of(trace) >= STACK_FRAMES else ["memory", one_line(error)]
        if isinstance(error, OSError) and error.errno == errno.ENOMEM and not by_hand:
            return ["memory", one_line(error)]
        if isinstance(error, BlockingIOError) and error.errno == errno.EAGAIN and processes_used_up():
            return ["processes", one_line(error)]
        kind, text = type(error), text_of(error)[:LONGEST]
        arguments = None
        if (id(kind) in codec.BY_ID or id(kind) in self.handles.given) and len(text) < LONGEST:
            # The other side has that class, too: it can make one like it.
            arguments = self.handles.outgoing(self.encoder, list(error.args))
        return ["raised", self.handles.form(error), str(kind.__name__)[:80], text, line_of(trace), arguments]


def compiled(source, filename):
    """A source that begins with a byte order mark is read as Python reads a file."""
    if source.startswith("\ufeff"):
        source = source.encode("utf-8", "surrogatepass")
    return compile(source, filename, "exec", dont_inherit=True)


def text_of(error):
    try:
        text = str(error)
        return text if type(text) is str else str.__str__(text)
    except BaseException:
        return "an exception whose text raises one"


def one_line(error):
    return " ".join(text_of(error)[:8 * REPORTED].split())[:REPORTED]


def depth_of(trace):
    depth = 0
    while trace is not None and depth < STACK_FRAMES:
        depth += 1
        trace = trace.tb_next
    return depth


def line_of(trace):
    """The innermost line of the program itself."""
    line = None
    for _ in range(STACK_FRAMES):
        if trace is None:
            break
        if trace.tb_frame.f_code.co_filename == "<program>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def raised_by_hand(trace):
    """By a raise statement: nothing had run out."""
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    code, at = trace.tb_frame.f_code.co_code, trace.tb_lasti
    return 0 <= at < len(code) and code[at] == opcode.opmap["RAISE_VARARGS"]


def processes_used_up():
    try:
        pid = os.fork()
    except OSError:
        return True
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return False


def show(error):
    """As the interpreter does with an exception nobody caught: the hook may be the program's own."""
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit:
        raise
    except BaseException:
        pass


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass


def give_frames():
    """The frames below the program are ours: it may go as deep as in an interpreter of its own."""
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(1000 + depth)


def serve(job, requests, replies):
    """Loads the program once its tests are ready, says how that went, then answers until the judge has heard enough."""
    tag = bytes.fromhex(job["tag"])
    random.seed(job["seed"])
    give_frames()
    program = Program("program", job["linked"])
    own = os.getpid()
    getpid, leave = os.getpid, os._exit

    def reply(content):
        if getpid() != own:
            leave(1)  # a child that ran on into this loop
        return codec.write_frame(replies, tag, codec.json_text(content))

    frames = codec.Frames(requests, tag)
    prelude = frames.read()
    if prelude is None:
        return  # the tests cannot be run
    failed = program.load(job["program"], program.decoder.value(prelude), job["setup"])
    flush()
    if not reply(failed or ["ready"]) or failed:
        return
    while (payload := frames.read()) is not None:
        answer = program.answer(program.decoder.value(payload))
        try:
            heard = reply(answer)
        except codec.NotPlain as why:
            heard = reply(["large", str(why)])
        if not heard:
            return


def observe(job, replies):
    """Runs a program as a script with whatever grader it has, and says how that went: a claim, since the program
    is in this process too."""
    tag, wanted = bytes.fromhex(job["tag"]), job["observe"]
    random.seed(job["seed"])
    give_frames()
    program = Program("__main__", False)
    facts = {"loaded": False, "exception": None, "call_returned": None, "call_exception": None, "attribute": None}
    status = 0
    try:
        failed = program.load(job["program"], "", job["setup"])
        facts["loaded"] = failed is None
        facts["exception"] = described(failed)
        status = 1 if failed else 0
        if failed is None and wanted["call"]:
            status = observe_call(program, wanted["call"], facts)
        if failed is None and wanted["attribute"]:
            facts["attribute"] = attribute_of(program, wanted["attribute"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    flush()
    facts = {name: codec.utf8_text(fact) if type(fact) is str else fact for name, fact in facts.items()}
    codec.write_frame(replies, tag, codec.json_text(facts))
    os._exit(status & 0xFF)


def described(failed):
    if failed is None:
        return None
    return f"{failed[2]}: {' '.join(failed[3].split())}"[:REPORTED + 90] if failed[0] == "raised" else failed[0]


def observe_call(program, call, facts):
    try:
        eval(call, program.names)
        facts["call_returned"] = True
        return 0
    except SystemExit:
        facts["call_returned"] = False
        raise
    except BaseException as error:
        facts["call_returned"] = False
        facts["call_exception"] = described(program.failure(error))
        return 1


def attribute_of(program, text):
    try:
        value = eval(text, program.names)
        if type(value) is float and not math.isfinite(value) or type(value) is int and abs(value) >= 1 << 63:
            return repr(value)[:REPORTED]  # no number of JSON's
        return value if type(value) in (bool, int, float, str, type(None)) else f"an object of type {type(value).__name__}"
    except BaseException as error:
        return f"not there: {type(error).__name__}"

