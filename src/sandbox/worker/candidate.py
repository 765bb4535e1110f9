"""The program's side: runs it and answers the judge's calls by value.

Nothing here is trusted by anybody: the program shares this interpreter and may have changed all of it. What
holds its promises are the walls around the process and the judge at the other end.
"""
import errno
import itertools
import math
import os
import random
import sys
import types

import codec

REPORTED = 300  # characters of an exception's text
STACK_FRAMES = 20_000  # of a recursion that ended for want of memory
MAX_LINKED = 200_000  # nodes of a linked list or tree


class ListNode:
    """LeetCode's."""

    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next


class TreeNode:
    """LeetCode's."""

    def __init__(self, val=0, left=None, right=None):
        self.val = val
        self.left = left
        self.right = right


def list_values(node):
    values = []
    while node is not None:
        values.append(node.val)
        if len(values) > MAX_LINKED:
            raise codec.NotPlain("a linked list without an end")
        node = node.next
    return values


def tree_values(root):
    """Level order with None for a missing child, as LeetCode writes trees."""
    values, level = [], [root]
    while any(node is not None for node in level):
        below = []
        for node in level:
            values.append(None if node is None else node.val)
            if node is not None:
                below += (node.left, node.right)
        if len(values) > MAX_LINKED:
            raise codec.NotPlain("a tree without an end")
        level = below
    while values and values[-1] is None:
        values.pop()
    return values


def make_list(values, node_class):
    head = None
    for value in reversed(values):
        head = node_class(value, head)
    return head


def make_tree(values, node_class):
    if not values or values[0] is None:
        return None
    root = node_class(values[0])
    level, at = [root], 1
    while at < len(values):
        below = []
        for node in level:
            for side in ("left", "right"):
                if at < len(values) and values[at] is not None:
                    child = node_class(values[at])
                    setattr(node, side, child)
                    below.append(child)
                at += 1
        if not below:
            break
        level = below
    return root


class Missing(Exception):
    """A name or attribute that the program does not have."""


class Program:
    """The loaded program: its names, and the objects the judge holds handles of."""

    def __init__(self, name, linked):
        self.module = types.ModuleType(name)
        sys.modules[name] = self.module
        self.names = self.module.__dict__
        self.handles = []
        self.linked = linked  # LeetCode's node classes are there, and cross as lists
        if linked:
            self.names.update(ListNode=ListNode, TreeNode=TreeNode)
        self.encoder = codec.Encoder(self.special)
        self.decoder = codec.Decoder({"h": self.handle, "n": self.named, "y": codec.BUILTINS.__getitem__,
                                      "L": self.make_list, "T": self.make_tree})

    def handle(self, index):
        return self.handles[index]

    def named(self, name):
        return self.names[name]

    def node_class(self, name, otherwise):
        found = self.names.get(name)
        return found if isinstance(found, type) else otherwise

    def make_list(self, values):
        return make_list(values, self.node_class("ListNode", ListNode))

    def make_tree(self, values):
        return make_tree(values, self.node_class("TreeNode", TreeNode))

    def special(self, value):
        kind = type(value)
        if kind.__name__ == "ListNode":
            return {"L": [self.encoder.form(v, 8) for v in list_values(value)]}
        if kind.__name__ == "TreeNode":
            return {"T": [self.encoder.form(v, 8) for v in tree_values(value)]}
        raise codec.NotPlain(f"an object of type {kind.__name__[:80]}")

    def run(self, source, filename):
        exec(compile(source, filename, "exec", dont_inherit=True), self.names)

    def load(self, job):
        """None, or the reply that says why there is no program."""
        setup, late = job["setup"], False
        try:
            try:
                if setup:
                    self.run(setup, "<setup>")
            except NameError:
                late = True
            try:
                code = compile(job["program"], "<program>", "exec", dont_inherit=True)
            except (SyntaxError, ValueError, OverflowError, RecursionError) as error:
                return ["syntax", one_line(error)]
            exec(code, self.names)
            if late:
                self.run(setup, "<setup>")
        except SystemExit:
            raise
        except BaseException as error:
            show(error)
            return failure(error)
        return None

    def resolve(self, target):
        """["name", n], ["handle", i], ["attr", target, name] or ["new", target]: an object of the program."""
        kind, content = target[0], target[1]
        if kind == "name":
            if content not in self.names:
                raise Missing(f"the program defines no {content[:80]}")
            return self.names[content]
        if kind == "handle":
            return self.handles[content]
        subject = self.resolve(content)
        if kind == "new":
            return subject()
        try:
            return getattr(subject, target[2])
        except AttributeError as error:
            raise Missing(one_line(error)) from None

    def answer(self, request):
        """The reply to [verb, target, arguments, keywords, adapt]."""
        verb, target, arguments, keywords, adapt = request
        try:
            value = self.perform(verb, self.resolve(target), arguments, keywords, adapt)
            flush()
            return ["value", self.encoder.plain(value)]
        except SystemExit:
            raise
        except Missing as error:
            return ["missing", str(error)]
        except codec.NotPlain as why:
            self.handles.append(value)
            return ["handle", len(self.handles) - 1, str(why)[:REPORTED]]
        except BaseException as error:
            flush()
            return failure(error)

    def perform(self, verb, subject, arguments, keywords, adapt):
        if verb == "call":
            if adapt:
                arguments = self.adapted(subject, arguments)
            return subject(*arguments, **keywords)
        if verb == "get":
            return subject
        if verb == "set":
            setattr(subject, arguments[0], arguments[1])
            return None
        if verb == "next":
            return list(itertools.islice(subject, 1))
        if verb == "list":
            values = []
            for value in subject:
                values.append(value)
                if len(values) > codec.MAX_NODES:
                    raise ValueError("an iterator without an end")
            return values
        raise codec.Malformed(f"no such request: {verb}")

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


def one_line(error):
    try:
        text = str(error)
    except BaseException:
        text = "an exception whose text raises one"
    return " ".join(text[:8 * REPORTED].split())[:REPORTED]


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


def failure(error):
    """An exception as a reply: its nearest built-in class, its own name, its text."""
    trace = error.__traceback__
    error.__traceback__ = None
    if isinstance(error, MemoryError):
        # A recursion that ate the memory is a stack overflow, whoever noticed it first.
        return ["stack", STACK_FRAMES] if depth_of(trace) >= STACK_FRAMES else ["memory", one_line(error)]
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return ["memory", one_line(error)]
    if isinstance(error, BlockingIOError) and error.errno == errno.EAGAIN and processes_used_up():
        return ["processes", one_line(error)]
    builtin = next((c for c in type(error).__mro__ if c.__module__ == "builtins"), Exception)
    return ["raised", builtin.__name__, type(error).__name__[:80], one_line(error), line_of(trace)]


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
    """Loads the program, says how that went, then answers until the judge has heard enough."""
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

    failed = program.load(job)
    flush()
    if not reply(failed or ["ready"]) or failed:
        return
    while (payload := codec.read_frame(requests, tag)) is not None:
        answer = program.answer(program.decoder.value(payload))
        try:
            heard = reply(answer)
        except codec.NotPlain as why:
            heard = reply(["large", str(why)])
        if not heard:
            return


def observe(job, replies):
    """Runs a program as a script with whatever grader it has, and reports what was seen."""
    tag, wanted = bytes.fromhex(job["tag"]), job["observe"]
    random.seed(job["seed"])
    give_frames()
    program = Program("__main__", False)
    facts = {"loaded": False, "exception": None, "call_returned": None, "call_exception": None,
             "file_written": None, "attribute": None}
    status = 0
    try:
        failed = program.load(job)
        facts["loaded"] = failed is None
        facts["exception"] = described(failed)
        status = 1 if failed else 0
        if failed is None and wanted["call"]:
            status = observe_call(program, wanted["call"], facts)
        if failed is None and wanted["attribute"]:
            facts["attribute"] = attribute_of(program, wanted["attribute"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    if wanted["file"]:
        facts["file_written"] = holds(wanted["file"], wanted["file_marker"])
    flush()
    facts = {name: codec.utf8_text(fact) if type(fact) is str else fact for name, fact in facts.items()}
    codec.write_frame(replies, tag, codec.json_text(facts))
    os._exit(status & 0xFF)


def described(failed):
    if failed is None:
        return None
    return f"{failed[2]}: {failed[3]}" if failed[0] == "raised" else failed[0]


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
        facts["call_exception"] = described(failure(error))
        return 1


def attribute_of(program, text):
    try:
        value = eval(text, program.names)
        if type(value) is float and not math.isfinite(value) or type(value) is int and abs(value) >= 1 << 63:
            return repr(value)[:REPORTED]  # no number of JSON's
        return value if type(value) in (bool, int, float, str, type(None)) else f"an object of type {type(value).__name__}"
    except BaseException as error:
        return f"not there: {type(error).__name__}"


def holds(path, marker):
    try:
        with open(path, "rb") as file:
            return marker.encode() in file.read(1 << 20)
    except OSError:
        return False
