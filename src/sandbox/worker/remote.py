"""The judge's view of a program: the pipes to it, and what comes over them.

A name the tests use and nobody here defines is the program's; calling one sends the arguments by value and brings the
result back by value. What is not plain data stays over there, and here a mirror stands for it (mirror.py).
"""
import builtins
import collections
import sys
import time
import types

import codec
import handles
import linked
import mirror
from survey import Broken

SHOWN = 300  # characters of a detail
LARGE_REPLY = 1 << 20
SENT_AHEAD = 1 << 12  # bytes that every pipe has room for (man 7 pipe)
# Exceptions that a test may not notice: all(f(x) == y for ... in map(f, ...)) ends at a StopIteration and holds.
QUIET = (StopIteration, StopAsyncIteration, GeneratorExit, SystemExit)
RECORDED = 32 << 20  # bytes of calls that are kept to be asked again
CHANGEABLE = frozenset(map(id, (list, dict, set, bytearray, collections.deque, collections.Counter, collections.defaultdict,
                                collections.OrderedDict)))
HOLDING = CHANGEABLE | {id(tuple)}
VERDICTS = {"memory": "MEMORY", "stack": "CRASH", "processes": "PROCESSES", "large": "BAD_VALUE", "syntax": "SYNTAX"}
LENGTHS = {"raised": 6, "missing": 3, "ready": 1}


class Stop(BaseException):
    """The verdict stands, whatever the test code would make of it."""

    def __init__(self, verdict, detail):
        super().__init__(verdict, detail)
        self.verdict, self.detail = verdict, detail


class NeedsProgram(BaseException):
    """While the tests are tried without a program: from here on they ask it."""


class Unknown:
    """Stands for the candidate while check is tried without a program."""
    __slots__ = ("_channel",)

    def __init__(self, channel):
        self._channel = channel

    def __call__(self, *arguments, **keywords):
        return self._channel.call(["name", "candidate"], arguments, keywords)


def needs_program(*_, **__):
    raise NeedsProgram


for _name in {*codec.CAPABILITIES, "__getattr__", "__eq__", "__ne__", "__hash__", "__repr__", "__str__", "__format__"} - {"__call__"}:
    setattr(Unknown, _name, needs_program)


class Named:
    """A function of the program that a test calls by its name, and does nothing else with."""
    __slots__ = ("_channel", "_target")

    def __init__(self, channel, target):
        self._channel, self._target = channel, target

    def __call__(self, *arguments, **keywords):
        return self._channel.call(self._target, arguments, keywords)


class Channel:
    """The pipes to the program: one request, one reply."""

    def __init__(self, requests, replies, tag):
        self.requests, self.tag = requests, tag
        self.replies = codec.Frames(replies, tag)
        self.beginning = False  # the program has not said yet that it is ready
        self.asked_s = 0
        self.names = {}  # the tests' own: classes that nodes from the program become
        self.surveys = {}  # of the tests' code, by its place
        self.encoder = codec.Encoder(self.special)
        self.decoder = codec.Decoder({
            "L": codec.of_list(self.node_list), "T": codec.of_list(self.node_tree), "h": codec.of_list(self.handle),
            "k": self.class_of, "G": self.given_class, "n": codec.of_list(self.named_tuple), "e": codec.of_list(self.enum_value)})
        self.classes, self.objects, self.tuples = {}, {}, {}  # by index
        self.given = frozenset()  # names of exception classes that set-up defines on both sides
        self.built_in = {}  # mirrors of built-in classes, by id
        self.stopped = None
        self.calls = []  # (request text, reply text, seconds): calls by name with plain data both ways
        self.recorded = 0  # bytes of these
        self.overrides = {}
        self.last = None  # the last result, for details
        self.clean = True  # nothing has run here that could leave a trace for the next program's tests
        self.adapt = False
        self.watching = False  # whether tests could see that an argument has changed
        self.rehearsing = False
        self.heard = False  # anything of the program has reached the tests

    def stop(self, verdict, detail):
        self.stopped = self.stopped or Stop(verdict, detail)
        raise self.stopped

    def special(self, value, depth):
        kind = type(value)
        if isinstance(value, Unknown):
            raise NeedsProgram
        link = mirror.link_of(value)
        if link is not None:
            return {"h": link.index}
        if isinstance(value, BaseException) and self.origin(value) is not None:
            return {"h": self.origin(value)}
        if kind.__name__ == "ListNode":
            return {"L": [self.encoder.form(v, 8) for v in linked.list_values(value)]}
        if kind.__name__ == "TreeNode":
            return {"T": [self.encoder.form(v, 8) for v in linked.tree_values(value)]}
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            known = getattr(kind, "_index", None)
            known = [kind.__name__, list(kind._fields)] if known is None else known
            return {"n": [known, self.encoder.forms(list(value), depth)]}
        raise codec.NotPlain(f"an object of type {kind.__name__}")

    # What comes in.

    def node_list(self, values):
        node_class = self.names.get("ListNode")
        return linked.make_list(values, node_class) if node_class else values

    def node_tree(self, values):
        node_class = self.names.get("TreeNode")
        return linked.make_tree(values, node_class) if node_class else values

    def class_of(self, form):
        """The mirror of a class that is described now or was before."""
        if type(form) is not list:
            return form if isinstance(form, type) else self.classes[form]
        index, name, bases, mask, equality, meta_mask, built_in = form
        if index not in self.classes:
            link = mirror.Link(self, codec.of_type(int, index))
            bases = [self.class_of(base) for base in bases]
            self.classes[index] = mirror.mirror_class(link, name, bases, (mask, equality, meta_mask, built_in))
        return self.classes[index]

    def given_class(self, name):
        kind = self.names[name] if name in self.given else None
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise KeyError(name)
        return kind

    def mirror_of(self, form):
        kind = self.class_of(form)
        if isinstance(kind, mirror.Mirror):
            return kind
        if id(kind) not in self.built_in:
            traits = (handles.capabilities(kind), handles.equality(kind), 0, kind)
            self.built_in[id(kind)] = mirror.mirror_class(mirror.Link(self, None), kind.__name__, [kind], traits)
        return self.built_in[id(kind)]

    def handle(self, content):
        index, form, why = content
        if index not in self.objects:
            link = mirror.Link(self, codec.of_type(int, index), why)
            self.objects[index] = mirror.mirror_object(self.mirror_of(form), link)
        return self.objects[index]

    def named_tuple(self, content):
        index, name, fields, values = content
        if index not in self.tuples:
            self.tuples[index] = collections.namedtuple(name, fields)
            self.tuples[index]._index = codec.of_type(int, index)
        return self.tuples[index]._make(codec.of_type(list, values))

    def enum_value(self, content):
        index, form, raw = content
        if index not in self.objects:
            if type(raw) not in (int, str):
                raise TypeError("no value of an enumeration")
            self.objects[index] = mirror.enum_value(self.mirror_of(form), mirror.Link(self, codec.of_type(int, index)), raw)
        return self.objects[index]

    # Asking.

    def begin(self, prelude):
        """Lets the program run: its tests can. The reply to that is "ready"; it is read with the first answer, and so the
        two wake each other once less."""
        prelude = codec.json_text(prelude)
        codec.write_frame(self.requests, self.tag, prelude)
        self.beginning = True
        if len(prelude) > SENT_AHEAD // 2:
            self.begun()

    def begun(self):
        """The program is loaded, or there is no program: no test may catch what it raised by then."""
        if not self.beginning:
            return
        self.beginning = False
        try:
            reply = self.understood(self.reply())
            if reply != ["ready"]:
                self.result(reply)
        except Exception as error:
            self.stop(*vars_of(error)["of_program"][:2])

    def exchange(self, payload):
        """The reply to a request, as it came."""
        if len(payload) > SENT_AHEAD // 2:  # the pipe has no room for it: each side might wait for the other
            self.begun()
        heard = codec.write_frame(self.requests, self.tag, payload)
        if self.beginning:
            self.begun()
            self.asked_s = time.perf_counter()
        if not heard:
            self.stop("GONE", "the program ended before it answered")
        return self.reply()

    def reply(self):
        try:
            reply = self.replies.read()
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

    def look(self, name):
        """What the program has of that name, now. Without it there is nothing to be tested."""
        found = self.ask("get", ["name", name], [], {})
        link = mirror.link_of(found)
        if link and not isinstance(found, type) and callable(found):
            link.target = ["name", name]
        return found

    def call(self, target, arguments, keywords):
        given = [*enumerate(arguments), *keywords.items()] if self.watching else ()
        watched = [at for at, value in given if id(type(value)) in HOLDING]  # places and keywords
        return self.ask("call", target, list(arguments), keywords, watched)

    def ask(self, verb, target, arguments, keywords, watched=()):
        if self.stopped:
            raise self.stopped
        try:
            payload = codec.json_text(self.encoder.plain([verb, target, arguments, keywords, self.adapt, list(watched)]))
            if len(payload) > codec.MAX_FRAME:
                raise codec.NotPlain(f"{len(payload)} bytes, more than {codec.MAX_FRAME}")
        except codec.NotPlain as why:
            detail = f"the test passes {why}, which cannot cross to the program"
            if self.heard:  # the program has a part in what it is: a large result that is passed on
                self.stop("BAD_VALUE", detail)
            raise Broken(detail) from None
        if self.rehearsing:
            raise NeedsProgram
        reply = self.overrides.get(payload)
        if reply is None:
            self.asked_s = time.perf_counter()
            reply = self.exchange(payload)
            self.record(verb, payload, reply, time.perf_counter() - self.asked_s)
        self.heard = True
        reply = self.understood(reply)
        if watched and reply[0] in ("value", "raised"):
            self.change(dict([*enumerate(arguments), *keywords.items()]), reply.pop())
        return self.result(reply)

    def record(self, verb, payload, reply, seconds):
        size = len(payload) + len(reply)
        by_handle = b'{"h":' in payload or b'"handle"' in payload or b'{"h":' in reply or b'{"k":' in reply
        if verb != "call" or by_handle or self.recorded + size > RECORDED:
            return
        self.recorded += size
        self.calls.append((payload, reply, seconds))

    def change(self, arguments, changes):
        """Does to the arguments what the program did to its own."""
        if type(changes) is not list:
            self.stop("NO_VERDICT", "a reply of no known kind")
        for change in changes:
            if type(change) is not list or len(change) != 2 or type(change[0]) not in (int, str) or change[0] not in arguments:
                self.stop("NO_VERDICT", "a reply of no known kind")
            if merged(arguments[change[0]], change[1]) is not arguments[change[0]]:
                self.stop("BAD_VALUE", "an argument became what is not plain data")

    def result(self, reply):
        kind = reply[0]
        if kind == "raised" and len(reply) != LENGTHS[kind]:
            self.stop("ERROR", "an exception that nobody raised")
        if len(reply) != LENGTHS.get(kind, 2):
            self.stop("NO_VERDICT", "a reply of no known kind")
        if kind == "value":
            self.last = (reply[1],)
            return reply[1]
        if kind == "missing":
            self.missing(str(reply[1]), str(reply[2])[:SHOWN])
        if kind == "raised":
            self.raise_again(*reply[1:])
        if kind not in VERDICTS:
            self.stop("NO_VERDICT", "a reply of no known kind")
        text = "stack overflow: a recursion without an end" if kind == "stack" else str(reply[1])[:SHOWN]
        self.stop(VERDICTS[kind], text)

    # Exceptions of the program.

    def missing(self, what, text):
        """hasattr() and getattr() with a default may ask for an attribute that is not there; a test that goes on without
        a name has nothing to test."""
        if what == "name":
            self.stop("NO_ENTRY", text)
        error = AttributeError(text)
        error.of_program = ("NO_ENTRY", text, None)
        raise error

    def raise_again(self, thrown, name, text, line, arguments):
        name, text = str(name)[:80], str(text)
        link = mirror.link_of(thrown)
        kind = type(thrown)
        if link is None or not issubclass(kind, BaseException):
            self.stop("ERROR", f"{name}: {text[:SHOWN]}")  # forged: whoever says so has failed
        detail = f"{name}: {' '.join(text[:8 * SHOWN].split())[:SHOWN]}" + (f" (line {line})" if type(line) is int else "")
        if issubclass(kind, QUIET) and not self.expects(kind, sys._getframe(1)):
            error = Exception(text)
        else:
            error = self.as_built_in(kind, text, arguments) or thrown
        vars_of(error)["of_program"] = ("ERROR", detail, link.index)
        raise error

    @staticmethod
    def as_built_in(kind, text, arguments):
        """An exception of a class that both sides have, and whose text comes of its arguments, is made of them; others
        stay over there."""
        base = kind.__mro__[1]
        if isinstance(base, mirror.Mirror) or type(arguments) is not list:
            return None
        try:
            error = base(*arguments)
            return error if type(error) is base and str(error) == text else None
        except Exception:
            return None

    @staticmethod
    def origin(error):
        """The handle of an exception that the program raised, else None."""
        found = vars_of(error).get("of_program")
        return found and found[2]

    def test_frame(self, frame):
        while frame is not None and frame.f_code.co_filename not in self.surveys:
            frame = frame.f_back
        return frame

    def expects(self, kind, frame):
        """Whether the test that is running would notice such an exception: it catches it by its name."""
        frame = self.test_frame(frame)
        if frame is None:
            return False
        names = {base.__name__ for base in kind.__mro__ if issubclass(base, QUIET)}
        return any(first <= frame.f_lineno <= last and names & caught
                   for first, last, caught in self.surveys[frame.f_code.co_filename].tries)

    def asserts_within(self, frame):
        """Whether the with statement that ends now holds assertions."""
        frame = self.test_frame(frame)
        return frame is None or self.surveys[frame.f_code.co_filename].withs.get(frame.f_lineno, True)


def vars_of(error):
    return object.__getattribute__(error, "__dict__")


def merged(old, new):
    """`old` with the content of `new`, the same objects as far as they are containers of a kind."""
    if type(old) is not type(new) or id(type(old)) not in HOLDING or old is new:
        return new
    if type(old) in (list, collections.deque):
        values = [merged(a, b) for a, b in zip(old, new)] + list(new)[len(old):]
        old.clear()
        old.extend(values)
    elif type(old) is tuple:
        if len(old) == len(new):
            parts = tuple(map(merged, old, new))
            return old if all(map(lambda a, b: a is b, parts, old)) else parts
        return new
    elif isinstance(old, dict):
        items = [(key, merged(old[key], value) if key in old else value) for key, value in new.items()]
        old.clear()
        dict.update(old, items)
    else:
        content = new.copy()
        old.clear()
        old.extend(content) if type(old) is bytearray else old.update(content)
    return old
