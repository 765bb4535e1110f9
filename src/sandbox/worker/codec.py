"""What may cross between a program and its judge: plain data, framed, of bounded depth and size.

The C halves of the json module do the work, held here since the zygote started: a program that patches
builtins or json afterwards changes nothing. JSON lacks most of Python's types, so an object of one member
says which it is: {"t": [...]} a tuple, {"d": [[key, value], ...]} a dict. Lists, strings, floats and small
integers are themselves, and whatever else a JSON object might be is refused.
"""
import collections
import errno
import json.decoder
import json.encoder
import json.scanner
import os
import struct
import types

MAX_DEPTH = 64
MAX_NODES = 2_000_000
MAX_FRAME = 16 << 20
HEADER = struct.Struct(">I16s")  # length of the payload, the tag of this run

# What a test may pass by name: on the other side it is what has that name there.
BUILTINS = {b.__name__: b for b in (int, float, complex, str, bytes, bytearray, bool, list, tuple, set, frozenset, dict,
                                    range, type(None), object, type, abs, all, any, bin, chr, divmod, hash, hex, isinstance,
                                    issubclass, len, max, min, oct, ord, pow, repr, round, sorted, sum)}
# Their content is a dict's, and that is what crosses (MBPP 40, 88, 653 and 902 return them).
# Types by their id: a metaclass decides what a class is equal to, and a program may write metaclasses.
DICTS = frozenset(map(id, (dict, collections.Counter, collections.defaultdict, collections.OrderedDict)))
SEQUENCES = {id(tuple): "t", id(set): "s", id(frozenset): "f"}
AS_THEY_ARE = frozenset(map(id, (str, float, bool, type(None))))


class NotPlain(Exception):
    """A value that may not cross; the text says what it is."""


class Malformed(Exception):
    """Bytes that are not a frame of this run, or not plain data."""


class Encoder:
    """Values to JSON text. `special(value)` gives the form of what is not plain, or raises NotPlain."""

    def __init__(self, special):
        self.special = special
        self.nodes = 0

    def plain(self, value):
        """The JSON form of a value, or NotPlain."""
        self.nodes = 0
        return self.form(value, MAX_DEPTH)

    def form(self, value, depth):
        kind = type(value)
        if id(kind) in AS_THEY_ARE:
            if kind is str and len(value) > MAX_FRAME:  # before a hundred megabytes are made ready to cross
                raise NotPlain(f"a string of {len(value)} characters")
            return value
        if kind is int:
            return value if -(1 << 63) <= value < 1 << 63 else {"i": hex(value)}
        if depth == 0:
            raise NotPlain(f"deeper than {MAX_DEPTH}")
        if kind is list:
            return self.forms(value, depth)
        if id(kind) in SEQUENCES:
            return {SEQUENCES[id(kind)]: self.forms(list(value), depth)}
        if id(kind) in DICTS:
            # dict's own methods: those of a subclass may have been patched.
            return {"d": [[self.form(k, depth - 1), self.form(v, depth - 1)] for k, v in self.some(dict.items(value))]}
        if kind is bytes or kind is bytearray:
            return {"b" if kind is bytes else "B": value.hex()}
        if kind is complex:
            return {"c": [value.real, value.imag]}
        if kind is range:
            return {"r": [self.form(n, depth - 1) for n in (value.start, value.stop, value.step)]}
        return self.special(value)

    def some(self, values):
        self.nodes += len(values)
        if self.nodes > MAX_NODES:
            raise NotPlain(f"more than {MAX_NODES} elements")
        return values

    def forms(self, values, depth):
        self.some(values)
        if AS_THEY_ARE.issuperset(map(id, map(type, values))):
            return values  # in C: a list of a million floats need not be walked in Python
        depth -= 1
        return [self.form(value, depth) for value in values]


C_ENCODE = json.encoder.c_make_encoder(
    None, None, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True)


def json_text(form):
    return "".join(C_ENCODE(form, 0)).encode("ascii")


def utf8_text(text):
    """As what reads it over there wants it: lone surrogates are no text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Decoder:
    """JSON text to values. `special` maps further member names to functions of their content."""

    def __init__(self, special):
        self.makers = {**MAKERS, **special}
        # What c_make_scanner wants of its context.
        self.scan = json.scanner.c_make_scanner(types.SimpleNamespace(
            strict=False, object_hook=self.object, object_pairs_hook=None, parse_float=float, parse_int=int,
            parse_constant=json.decoder._CONSTANTS.__getitem__, memo={}))

    def object(self, member):
        if len(member) != 1:
            raise Malformed("an object of several members")
        (name, content), = member.items()
        maker = self.makers.get(name)
        if maker is None:
            raise Malformed(f"an object named {name[:20]!r}")
        return maker(content)

    def value(self, payload):
        try:
            if payload.count(b"[") > MAX_DEPTH:
                check_depth(payload)
            text = payload.decode("ascii")
            value, end = self.scan(text, 0)
        except (ValueError, TypeError, StopIteration, KeyError, IndexError, AttributeError, RecursionError, OverflowError,
                MemoryError) as error:
            raise Malformed(f"{type(error).__name__}: {error}") from None
        if end != len(text):
            raise Malformed("text after the value")
        return value


NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def check_depth(payload):
    """Brackets outside strings, the innermost pairs taken away until none is left: all of it in C."""
    outside = payload.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    brackets = b"".join(outside).translate(None, NO_BRACKETS)
    for _ in range(3 * MAX_DEPTH + 8):  # a level of a dict is an object, a list and a pair
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    raise Malformed(f"deeper than {MAX_DEPTH}")


def of_list(make):
    """Of a list and nothing else: a range of a few bytes would become gigabytes."""
    def checked(content):
        if type(content) is not list:
            raise TypeError(f"a list is wanted, not {type(content).__name__}")
        return make(content)
    return checked


def make_range(content):
    start, stop, step = content
    return range(start, stop, step)


def make_dict(content):
    return {key: value for key, value in content}


def make_complex(content):
    real, imag = content
    return complex(real, imag)


def make_int(text):
    return int(text, 16)


MAKERS = {"t": of_list(tuple), "s": of_list(set), "f": of_list(frozenset), "d": of_list(make_dict), "i": make_int,
          "b": bytes.fromhex, "B": bytearray.fromhex, "c": of_list(make_complex), "r": of_list(make_range)}


def read_exactly(fd, count, read=os.read):
    """`count` bytes, or None at the end of the stream."""
    parts = []
    while count:
        part = read(fd, min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_frame(fd, tag):
    """The payload of the next frame, or None at the end. Malformed when it is not of this run."""
    header = read_exactly(fd, HEADER.size)
    if header is None:
        return None
    size, found = HEADER.unpack(header)
    if found != tag:
        raise Malformed("a frame without the tag of this run")
    if size > MAX_FRAME:
        raise Malformed(f"a frame of {size} bytes, more than {MAX_FRAME}")
    return read_exactly(fd, size) if size else b""


def write_frame(fd, tag, payload, write=os.write):
    """False when nobody reads any more. NotPlain when the payload is too large for a frame."""
    if len(payload) > MAX_FRAME:
        raise NotPlain(f"{len(payload)} bytes, more than {MAX_FRAME}")
    data = memoryview(HEADER.pack(len(payload), tag) + payload)
    while data:
        try:
            data = data[write(fd, data):]
        except OSError as error:
            if error.errno == errno.EPIPE:
                return False
            raise
    return True
