"""What stands in the judge for objects and classes of the program.

A class of the program has a class here, of the same name and bases, whose instances can what its own can: callable(),
isinstance(), hasattr(), `except` and `with` find what they would find over there, and each use asks the program.
What a test decides by is never left to the program's own methods: an object that is compared with plain data ends the
run as BAD_VALUE.
"""
import sys
import types

import codec
from handles import BY_FIELDS, BY_IDENTITY

# What every class has here, and is to be had of the program's all the same.
FORWARDED = frozenset(("__doc__", "__dict__", "__module__", "__annotations__", "__cause__", "__context__", "__notes__"))
AHEAD_AFTER, AHEAD_MOST = 3, 4096  # an iterator is asked for several values once it is clear that a loop wants them


class Link:
    """Where an object is: its channel, the index of its handle, and how it is called."""
    __slots__ = ("channel", "index", "why", "target", "ahead", "ended", "place", "repeats")

    def __init__(self, channel, index, why=None):
        self.channel, self.index, self.why = channel, index, why
        self.target = ["handle", index]
        self.ahead, self.ended = [], False  # values fetched before they were wanted
        self.place, self.repeats = None, 0

    def ask(self, verb, *arguments):
        return self.channel.ask(verb, self.target, list(arguments), {})

    def attribute(self, name):
        return self.channel.ask("get", ["attr", self.target, name], [], {})


def link_of(value):
    """None for what is no object of the program."""
    if isinstance(type(value), Mirror):
        return object.__getattribute__(value, "__dict__").get("_link")
    return type.__getattribute__(value, "__dict__").get("_link") if issubclass(type(value), Mirror) else None


def not_plain(value):
    link = link_of(value)
    why = link.why or f"an object of type {type(value).__name__}"
    link.channel.stop("BAD_VALUE", f"the result is {why}, not plain data")


def operation(name):
    def operate(self, *others):
        return link_of(self).ask("operate", name, *others)
    return operate


def operation_of_two(name):
    """Between objects of the program; with plain data it would be told what it is compared with."""
    def operate(self, other):
        return link_of(self).ask("operate", name, other) if link_of(other) else not_plain(self)
    return operate


def call(self, *arguments, **keywords):
    link = link_of(self)
    return link.channel.call(link.target, arguments, keywords)


def next_value(self):
    link = link_of(self)
    if link.ahead:
        return link.ahead.pop()
    if link.ended:
        link.ended = False  # what comes then is as the program has it
        raise StopIteration
    frame = sys._getframe(1)
    place = (id(frame), frame.f_lasti)
    link.repeats = link.repeats + 1 if place == link.place else 0
    link.place = place
    most = 1 if link.repeats < AHEAD_AFTER else min(1 << (link.repeats - AHEAD_AFTER), AHEAD_MOST)
    values, link.ended = link.ask("next", most)
    if not values:
        link.ended = False
        raise StopIteration
    link.ahead = values[::-1]
    return link.ahead.pop()


def leave_context(self, kind, error, trace):
    """The program may let its own exceptions pass, but no assertion with them."""
    link = link_of(self)
    if error is None:
        link.ask("operate", "__exit__", None, None, None)
        return False
    of_program = link.channel.origin(error) is not None
    answer = link.ask("operate", "__exit__", kind if of_program else Exception, error if of_program else None, None)
    return bool(answer) and of_program and not link.channel.asserts_within(sys._getframe(1))


def equal(self, other):
    if self is other:
        return True
    mine, others = type(self), type(other)
    if link_of(other) is None:
        if others is not stands_for(self) or others not in (list, tuple) or not any(map(link_of, other)):
            not_plain(self)
        return others(link_of(self).ask("elements")) == other  # objects with objects
    how = type.__getattribute__(mine, "__dict__").get("_equality")
    if how == BY_IDENTITY and type.__getattribute__(others, "__dict__").get("_equality") == BY_IDENTITY:
        return link_of(self).index == link_of(other).index
    if how == BY_FIELDS and mine is others:
        return link_of(self).ask("fields") == link_of(other).ask("fields")
    return not_plain(self)


def stands_for(value):
    """The built-in type of an object of the program."""
    return type.__getattribute__(type(value), "__dict__").get("_stands_for")


def hashed(self):
    if type.__getattribute__(type(self), "__dict__").get("_equality") == BY_IDENTITY:
        return hash((Mirror, link_of(self).index))
    return not_plain(self)


def attribute(self, name):
    link = link_of(self)
    if link is None:
        raise AttributeError(name)
    return link.attribute(name)


def own_attribute(self, name):
    if (name in FORWARDED or name[:1] != "_") and link_of(self) is not None:
        return link_of(self).attribute(name)
    if name == "__class__":  # where isinstance() looks after the type itself
        return stands_for(self) or type(self)
    return object.__getattribute__(self, name)


COMMON = {
    "__getattr__": attribute,
    "__getattribute__": own_attribute,
    "__setattr__": operation("__setattr__"),
    "__delattr__": operation("__delattr__"),
    "__repr__": operation("__repr__"),
    "__str__": operation("__str__"),
    "__format__": operation("__format__"),
    "__dir__": operation("__dir__"),
    "__eq__": equal,
    "__ne__": lambda self, other: not equal(self, other),
    "__hash__": hashed,
}
ABLE = {name: operation(name) for name in codec.UNARY}
ABLE.update({name: operation_of_two(name) for name in codec.BINARY})
ABLE.update(__call__=call, __next__=next_value, __exit__=leave_context)
ABLE_BITS = [(1 << at, name, ABLE[name]) for at, name in enumerate(codec.CAPABILITIES)]


def able(mask):
    return {name: function for bit, name, function in ABLE_BITS if mask & bit}


class Mirror(type):
    """The class of classes of the program. Made here: Mirror.__new__; called: the program makes an object."""

    def __call__(cls, *arguments, **keywords):
        return call(cls, *arguments, **keywords)

    def __getattr__(cls, name):
        return attribute(cls, name)

    def __getattribute__(cls, name):
        if name in ("__doc__", "__annotations__"):
            return link_of(cls).attribute(name)
        return type.__getattribute__(cls, name)

    def __setattr__(cls, name, value):
        link_of(cls).ask("operate", "__setattr__", name, value)

    def __delattr__(cls, name):
        link_of(cls).ask("operate", "__delattr__", name)

    def __repr__(cls):
        return link_of(cls).ask("operate", "__repr__")

    def __dir__(cls):
        return link_of(cls).ask("operate", "__dir__")

    __hash__ = type.__hash__


METAS = {0: Mirror}


def meta_of(mask):
    if mask not in METAS:
        own = able(mask)
        own.pop("__call__", None)
        METAS[mask] = type("Mirror", (Mirror,), own)
    return METAS[mask]


def mirror_class(link, name, bases, traits):
    """Of (capabilities, equality, capabilities of its own class, the built-in type that it is). `bases`: classes of this kind and built-in ones, of which exceptions count: except clauses look for them."""
    kinds = tuple(base for base in bases if isinstance(base, Mirror) or issubclass(base, BaseException))
    mask, equality, meta_mask, built_in = traits
    own = {**COMMON, **able(mask), "_link": link, "_equality": equality, "__module__": "program"}
    if built_in is not None:
        own["_stands_for"] = built_in if isinstance(built_in, type) else getattr(types, built_in)
    meta = meta_of(meta_mask)
    try:
        return meta.__new__(meta, name, kinds, own)
    except TypeError:  # bases that do not go together here
        return Mirror.__new__(Mirror, name, tuple(base for base in kinds if not isinstance(base, Mirror))[:1], own)


def mirror_object(kind, link):
    if issubclass(kind, BaseExceptionGroup):
        made = kind.__new__(kind, "", [Exception()])
    else:
        made = kind.__new__(kind)
    object.__getattribute__(made, "__dict__")["_link"] = link
    return made


def enum_value(kind, link, raw):
    """A member of an IntEnum or StrEnum: its number or text, and the program's object."""
    variants = type.__getattribute__(kind, "__dict__").get("_values")
    if variants is None:
        own = {"_link": link_of(kind), "_equality": BY_IDENTITY, "__module__": "program",
               "__getattr__": attribute, "__repr__": operation("__repr__")}
        base = type(raw)
        own["__eq__"], own["__hash__"], own["__str__"] = base.__eq__, base.__hash__, operation("__str__")
        variants = type(kind).__new__(type(kind), kind.__name__, (base, kind), own)
        type.__setattr__(kind, "_values", variants)
    made = type(raw).__new__(variants, raw)
    object.__getattribute__(made, "__dict__")["_link"] = link
    return made
