"""What of the program stays in its process: the judge holds a handle of it and is told what its type can do."""
import types

import codec
import linked

MAX_OBJECTS = 1000  # handles in one value
# How two objects of a type are equal: only if they are one, by the fields of a dataclass, or as the program says.
BY_IDENTITY, BY_FIELDS, BY_ITSELF = 0, 1, 2
# What collections.namedtuple and typing.NamedTuple put into a class. Anything else there would be lost on the way.
OF_NAMED_TUPLES = frozenset("""__doc__ __slots__ _fields _field_defaults _field_types __new__ _make _replace __replace__ __repr__
    _asdict __getnewargs__ __match_args__ __module__ __orig_bases__ __annotations__ __annotate__ __annotate_func__
    __annotations_cache__ __static_attributes__ __firstlineno__ __qualname__""".split())
BUILT_IN = {id(getattr(types, name)): name for name in types.__all__ if isinstance(getattr(types, name), type)}
BITS = [(1 << at, name, getattr(object, name, None)) for at, name in enumerate(codec.CAPABILITIES)]


def capabilities(kind):
    return sum(bit for bit, name, common in BITS if getattr(kind, name, common) not in (common, None))


def equality(kind):
    if kind.__eq__ is object.__eq__:
        return BY_IDENTITY
    own = kind.__dict__
    generated = "__dataclass_fields__" in own and getattr(own.get("__dataclass_params__"), "eq", False)
    code = getattr(own.get("__eq__"), "__code__", None)
    return BY_FIELDS if generated and code is not None and code.co_filename == "<string>" else BY_ITSELF


def fields_of(value):
    return [getattr(value, name) for name, field in type(value).__dataclass_fields__.items() if field.compare]


def field_names(kind):
    """Of a named tuple's class, else None."""
    names = kind.__dict__.get("_fields")
    if kind.__bases__ != (tuple,) or type(names) is not tuple or not all(type(name) is str for name in names):
        return None
    return list(names) if OF_NAMED_TUPLES.issuperset(kind.__dict__.keys() - set(names)) else None


def is_enum_value(kind):
    """IntEnum, StrEnum and the like: members are numbers or texts, and compare as such."""
    mro = kind.__mro__
    return len(mro) > 2 and mro[1].__module__ == "enum" and (int in mro or str in mro) and \
        kind.__eq__ in (int.__eq__, str.__eq__)


class Handles:
    """The objects the judge holds handles of, and how they are told."""

    def __init__(self):
        self.objects = []
        self.indexes = {}  # by id: one object has one handle
        self.told = set()  # indexes of classes that were described
        self.given = {}  # by id: names of exception classes that the tests' set-up defines on both sides
        self.left = 0  # objects that may stand inside this value

    def keep(self, value):
        index = self.indexes.get(id(value))
        if index is None:
            index = self.indexes[id(value)] = len(self.objects)
            self.objects.append(value)
        return index

    def class_form(self, kind):
        """A number where the class was described before."""
        if id(kind) in codec.BY_ID:
            return {"y": codec.BY_ID[id(kind)]}
        if id(kind) in self.given:
            return {"G": self.given[id(kind)]}
        index = self.keep(kind)
        if index in self.told:
            return index
        self.told.add(index)
        meta = type(kind)
        bases = [self.class_form(base) for base in kind.__bases__ if base is not object]
        return [index, str(kind.__name__)[:80], bases, capabilities(kind), equality(kind),
                0 if meta is type else capabilities(meta), BUILT_IN.get(id(kind))]

    def form(self, value, why=None):
        if isinstance(value, type):
            return {"k": self.class_form(value)}
        return {"h": [self.keep(value), self.class_form(type(value)), why]}

    def special(self, encoder, value, depth):
        """The form of what is not plain data, inside a value or as one."""
        kind = type(value)
        if kind.__name__ == "ListNode":
            return {"L": [encoder.form(v, 8) for v in linked.list_values(value)]}
        if kind.__name__ == "TreeNode":
            return {"T": [encoder.form(v, 8) for v in linked.tree_values(value)]}
        if issubclass(kind, tuple):
            names = field_names(kind)
            if names is not None:
                return {"n": [self.keep(kind), str(kind.__name__)[:80], names, encoder.forms(list(value), depth)]}
        if issubclass(kind, (int, str)) and is_enum_value(kind):
            raw = int.__int__(value) if issubclass(kind, int) else str.__str__(value)
            return {"e": [self.keep(value), self.class_form(kind), encoder.form(raw, depth)]}
        self.left -= 1
        # What an object is equal to, the program decides: none crosses inside a container that would be compared.
        if depth != codec.MAX_DEPTH and (encoder.hashed or self.left < 0):
            raise codec.NotPlain(f"an object of type {kind.__name__[:80]}")
        return self.form(value)

    def outgoing(self, encoder, value, objects=0):
        """The form of a result: as plain data, with so many objects inside, or a handle of all of it."""
        told, self.left = set(self.told), objects
        encoder.hashed = 0
        try:
            return encoder.plain(value)
        except codec.NotPlain as why:
            self.told = told
            return self.form(value, str(why)[:200])
        except BaseException:
            self.told = told
            raise
