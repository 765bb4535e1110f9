"""What may cross between a program and its judge: plain data, framed, of bounded depth and size.

The C halves of the json module do the work, held here since the zygote started: a program that patches
builtins or json afterwards changes nothing. JSON lacks most of Python's types, so an object of one member
says which it is: {"t": [...]} a tuple, {"d": [[key, value], ...]} a dict. Lists, strings, floats and small
integers are themselves, and whatever else a JSON object might be is refused.
"""
import builtins
import collections
import errno
import importlib
import json.decoder
import json.encoder
import json.scanner
import os
import struct
import sys
import types

MAX_DEPTH = 64
MAX_NODES = 2_000_000
MAX_FRAME = 16 << 20
MAX_DIGITS = 20  # of an integer in decimal: larger ones cross in hexadecimal
MAX_EXPONENT = 100_000  # of a Decimal: comparing one with an int writes its zeros out
HEADER = struct.Struct(">I16s")  # length of the payload, the tag of this run
AT_ONCE = 1 << 13  # bytes that are read of a pipe while it is not known how many come

# What crosses by name: on the other side it is what has that name there.
BUILTINS = {b.__name__: b for b in (int, float, complex, str, bytes, bytearray, bool, list, tuple, set, frozenset, dict,
                                    range, type(None), object, type, abs, all, any, bin, chr, divmod, hash, hex, isinstance,
                                    issubclass, len, max, min, oct, ord, pow, repr, round, sorted, sum)}
BUILTINS.update((name, value) for name, value in vars(builtins).items()
                if isinstance(value, type) and issubclass(value, BaseException) and value.__name__ == name)
BUILTINS.update(NotImplemented=NotImplemented, Ellipsis=Ellipsis)
BY_ID = {id(value): name for name, value in BUILTINS.items()}
# Types by their id: a metaclass decides what a class is equal to, and a program may write metaclasses. What is a dict
# by its content crosses as one (MBPP 40, 88, 653 and 902 return them).
DICTS = {id(dict): "d", id(collections.Counter): "C", id(collections.OrderedDict): "O"}
SEQUENCES = {id(tuple): "t", id(set): "s", id(frozenset): "f"}
VIEWS = {id(type({}.keys())): "keys", id(type({}.values())): "values", id(type({}.items())): "items"}
AS_THEY_ARE = frozenset(map(id, (str, float, bool, type(None))))
SCALARS = AS_THEY_ARE | {id(int)}
# What a type of the program can do beyond what every object can: a type of the judge's stands for it and can the same.
UNARY = tuple("__len__ __iter__ __reversed__ __bool__ __int__ __float__ __index__ __complex__ __round__ __trunc__ "
              "__floor__ __ceil__ __neg__ __pos__ __abs__ __invert__ __getitem__ __setitem__ __delitem__ "
              "__enter__".split())
BINARY = tuple(f"__{name}__" for name in (
    "lt le gt ge add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul rmatmul and rand "
    "or ror xor rxor lshift rlshift rshift rrshift contains").split())
CAPABILITIES = ("__call__", "__next__", "__exit__") + UNARY + BINARY


class NotPlain(Exception):
    """A value that may not cross; the text says what it is."""


class Malformed(Exception):
    """Bytes that are not a frame of this run, or not plain data."""


class Encoder:
    """Values to JSON text. `special(value, depth)` gives the form of what is not plain, or raises NotPlain."""

    def __init__(self, special):
        self.special = special
        self.nodes = 0
        self.hashed = 0  # within how many keys and elements of sets it is

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
        if kind is tuple:
            return {"t": self.forms(list(value), depth)}
        if id(kind) in SEQUENCES:
            return {SEQUENCES[id(kind)]: self.keyed(self.forms, list(value), depth)}
        if id(kind) in DICTS:
            return {DICTS[id(kind)]: self.pairs(value, depth)}
        if kind is bytes or kind is bytearray:
            return {"b" if kind is bytes else "B": value.hex()}
        if kind is complex:
            return {"c": [value.real, value.imag]}
        if kind is range:
            return {"r": [self.form(n, depth - 1) for n in (value.start, value.stop, value.step)]}
        if kind is slice:
            return {"l": [self.form(n, depth - 1) for n in (value.start, value.stop, value.step)]}
        if id(kind) in VIEWS:
            name = VIEWS[id(kind)]
            forms = self.forms if name == "values" else lambda *more: self.keyed(self.forms, *more)
            return {"v": [name, forms(list(value), depth)]}
        if id(value) in BY_ID:
            return {"y": BY_ID[id(value)]}
        packed = self.standard(value, kind, depth)
        return self.special(value, depth) if packed is None else packed

    def keyed(self, form, *more):
        self.hashed += 1
        try:
            return form(*more)
        finally:
            self.hashed -= 1

    def pairs(self, value, depth):
        # dict's own methods: those of a subclass may have been patched.
        return [[self.keyed(self.form, k, depth - 1), self.form(v, depth - 1)] for k, v in self.some(dict.items(value))]

    def standard(self, value, kind, depth):
        """Types of the standard library that are values as numbers are; none is imported for that."""
        name = kind.__module__
        pack = PACKERS.get((name, kind.__name__)) if type(name) is str else None
        if pack is None or getattr(sys.modules.get(name), kind.__name__, None) is not kind:
            return None
        content = pack(value)
        return None if content is None else {"S": [kind.__name__, [self.form(part, depth - 1) for part in content]]}

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
            strict=False, object_hook=self.object, object_pairs_hook=None, parse_float=float, parse_int=small_int,
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
            large = (payload.count(b"[") > MAX_DEPTH or payload.count(b",") > MAX_NODES) and check_size(payload)
            text = payload.decode("ascii")
            value, end = self.scan(text, 0)
        except (Exception, StopIteration) as error:  # whatever forged bytes may lead to
            raise Malformed(f"{type(error).__name__}: {error}") from None
        if end != len(text):
            raise Malformed("text after the value")
        if large:
            depth, nodes = measure(value)
            if depth > MAX_DEPTH + 2:  # a reply is a list around a list of arguments
                raise Malformed(f"deeper than {MAX_DEPTH}")
            if nodes > MAX_NODES + 64:
                raise Malformed(f"more than {MAX_NODES} elements")
        return value


NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def check_size(payload):
    """Elements and brackets outside strings, counted in C; brackets the innermost pairs taken away until none is left.
    True where a value might be deeper or larger than it may be."""
    outside = b"".join(payload.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    commas = outside.count(b",")
    if commas > 2 * MAX_NODES + 64:  # a pair of a dict has a comma of its own
        raise Malformed(f"more than {MAX_NODES} elements")
    brackets = outside.translate(None, NO_BRACKETS)
    for taken in range(3 * MAX_DEPTH + 8):  # a level of a dict is an object, a list and a pair
        if not brackets:
            return taken > MAX_DEPTH or commas > MAX_NODES
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    raise Malformed(f"deeper than {MAX_DEPTH}")


def measure(value):
    """(levels, elements) of the containers of a value that is known to be of bounded depth."""
    if isinstance(value, dict):
        parts = [*dict.keys(value), *dict.values(value)]
    elif isinstance(value, (list, tuple, set, frozenset, collections.deque)):
        parts = list(value)
    else:
        return 0, 0
    nodes = len(value)
    if SCALARS.issuperset(map(id, map(type, parts))):
        return 1, nodes
    below = [measure(part) for part in parts]
    return 1 + max(depth for depth, _ in below), nodes + sum(more for _, more in below)


def small_int(text):
    if len(text) > MAX_DIGITS:
        raise ValueError("a long number in decimal")
    return int(text)


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


def make_counter(content):
    return collections.Counter(make_dict(content))


def make_view(content):
    name, values = content
    if name == "keys":
        return dict.fromkeys(of_type(list, values)).keys()
    return make_dict(of_type(list, values)).items() if name == "items" else dict(enumerate(values)).values()


def of_type(kind, value):
    if type(value) is not kind:
        raise TypeError(f"a {kind.__name__} is wanted, not {type(value).__name__}")
    return value


def zone_of(value):
    """The offset of a fixed time zone, () for none; None for a zone with rules, which cannot cross."""
    zone = value.tzinfo
    if zone is None:
        return ()
    return (zone.utcoffset(None),) if type(zone) is sys.modules["datetime"].timezone else None


def with_zone(value, *parts):
    zone = zone_of(value)
    return None if zone is None else (*parts, value.fold, *zone)


def small_decimal(value):
    return value if not value.is_finite() or abs(value.adjusted()) <= MAX_EXPONENT else None


PACKERS = {
    ("fractions", "Fraction"): lambda v: (v.numerator, v.denominator),
    ("decimal", "Decimal"): lambda v: None if small_decimal(v) is None else (str(v),),
    ("datetime", "timedelta"): lambda v: (v.days, v.seconds, v.microseconds),
    ("datetime", "date"): lambda v: (v.year, v.month, v.day),
    ("datetime", "time"): lambda v: with_zone(v, v.hour, v.minute, v.second, v.microsecond),
    ("datetime", "datetime"): lambda v: with_zone(v, v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond),
    ("collections", "deque"): lambda v: (list(v), v.maxlen),
    ("collections", "defaultdict"): lambda v: (v.default_factory, dict(v)) if id(v.default_factory) in FACTORIES else (None, dict(v)),
}
MODULE_OF = {name: module for module, name in PACKERS}
FACTORIES = frozenset(map(id, (None, int, float, str, list, dict, set, tuple, bool)))


def make_standard(content):
    name, parts = content
    module = importlib.import_module(MODULE_OF[name])
    if name == "Decimal":
        value = module.Decimal(of_type(str, *parts))
        if small_decimal(value) is None:
            raise ValueError("an exponent out of bounds")
        return value
    if name in ("time", "datetime"):
        count = 4 if name == "time" else 7
        zone = module.timezone(parts[count + 1]) if len(parts) > count + 1 else None
        return getattr(module, name)(*parts[:count], zone, fold=parts[count])
    if name in ("deque", "defaultdict"):
        of_type(list if name == "deque" else dict, parts[name == "defaultdict"])
    return getattr(module, name)(*parts)


MAKERS = {"t": of_list(tuple), "s": of_list(set), "f": of_list(frozenset), "d": of_list(make_dict), "i": make_int,
          "b": bytes.fromhex, "B": bytearray.fromhex, "c": of_list(make_complex), "r": of_list(make_range),
          "C": of_list(make_counter), "O": of_list(lambda content: collections.OrderedDict(make_dict(content))),
          "v": of_list(make_view), "l": of_list(lambda content: slice(*content)), "S": of_list(make_standard), "y": BUILTINS.__getitem__}


class Frames:
    """What comes through a pipe. Most frames are small, and each read of the pipe costs."""

    def __init__(self, fd, tag):
        self.fd, self.tag, self.rest = fd, tag, b""

    def read(self, read=os.read):
        """The payload of the next frame, or None at the end. Malformed when it is not of this run."""
        data = self.rest
        while len(data) < HEADER.size:
            part = read(self.fd, AT_ONCE)
            if not part:
                return None
            data += part
        size, found = HEADER.unpack_from(data)
        if found != self.tag:
            raise Malformed("a frame without the tag of this run")
        if size > MAX_FRAME:
            raise Malformed(f"a frame of {size} bytes, more than {MAX_FRAME}")
        end = HEADER.size + size
        payload, self.rest = data[HEADER.size:end], data[end:]
        if len(payload) == size:
            return payload
        parts, size = [payload], size - len(payload)
        while size:
            part = read(self.fd, min(size, 1 << 20))
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


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
