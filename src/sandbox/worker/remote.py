"""The judge's view of a program: its names, its results, and the pipes to it.

A name the tests use and nobody here defines is a Remote; calling one sends the arguments by value and brings
the result back by value. What is not plain data stays over there and is a Handle here: good as an argument of
another call, and for nothing that a test could decide by.
"""
import builtins
import time
import types

import candidate
import codec

SHOWN = 300  # characters of a detail
LARGE_REPLY = 1 << 20
# Exceptions that a test may not notice: all(f(x) == y for ... in map(f, ...)) ends at a StopIteration and holds.
QUIET = (StopIteration, StopAsyncIteration, GeneratorExit, SystemExit)
RECORDED = 32 << 20  # bytes of calls that are kept to be asked again


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
    __slots__ = ("_why", "_listed")

    def __init__(self, channel, index, why):
        super().__init__(channel, ["handle", index])
        object.__setattr__(self, "_why", why)
        object.__setattr__(self, "_listed", None)

    def __iter__(self):
        values = self._channel.ask("list", self._target, [], {})
        object.__setattr__(self, "_listed", len(values))
        return iter(values)

    def __len__(self):
        """list(), tuple() and sorted() ask for it once they have begun to iterate."""
        return len(operator_value(self)) if self._listed is None else self._listed

    def __next__(self):
        values = self._channel.ask("next", self._target, [], {})
        if not values:
            raise StopIteration
        return values[0]


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
        self.decoder = codec.Decoder({"L": codec.of_list(self.linked), "T": codec.of_list(self.tree)})
        self.stopped = None
        self.calls = []  # (request text, reply text, seconds): calls by name with plain data both ways
        self.recorded = 0  # bytes of these
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
        if isinstance(value, (type, types.BuiltinFunctionType)) and codec.BUILTINS.get(value.__name__) is value:
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
            self.record(verb, payload, reply, time.perf_counter() - start)
        return self.result(self.understood(reply))

    def record(self, verb, payload, reply, seconds):
        size = len(payload) + len(reply)
        by_handle = b'{"h":' in payload or b'"handle"' in payload or reply.startswith(b'["handle"')
        if verb != "call" or by_handle or self.recorded + size > RECORDED:
            return
        self.recorded += size
        self.calls.append((payload, reply, seconds))

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
        if not (isinstance(kind, type) and issubclass(kind, BaseException)) or issubclass(kind, QUIET):
            kind = Exception
        detail = f"{str(name)[:80]}: {str(text)[:SHOWN]}" + (f" (line {line})" if type(line) is int else "")
        try:
            error = kind(str(text)[:SHOWN])
        except TypeError:  # UnicodeDecodeError and the like want more
            error = Exception(str(text)[:SHOWN])
        error.of_program = detail
        raise error
