"""Ways to write an Instance of function_kinds.py as a Python program: one function for each style.

A style returns the lines of the function's body and the import lines that they need, or None where it does not fit
the kind.
"""


def indented(lines, depth=1):
    return ["    " * depth + line for line in lines]


def loops(clauses, body):
    """`body` inside nested for loops."""
    lines = []
    for depth, (variable, iterable) in enumerate(clauses):
        lines += indented([f"for {variable} in {iterable}:"], depth)
    return lines + indented(body, len(clauses))


def when(condition, body):
    return [f"if {condition}:"] + indented(body) if condition else list(body)


def listed_name(instance):
    """An expression of the whole source that can be indexed and measured."""
    clauses = instance.clauses()
    return clauses[0][1] if instance.kind.source.listed else f"list({clauses[0][1]})"


def fill(instance, template, **fields):
    constants = {k: repr(v) if v is None else v for k, v in instance.constants.get(instance.kind.reducer, {}).items()}
    return template.format(r=instance.accumulator, **constants, **fields)


def whole(instance, reducer_expression, imports=""):
    return [f"return {reducer_expression}"], imports


# ---------------------------------------------------------------------------------------------- pipeline and branch


def element_and_condition(instance):
    if instance.kind.shape == "branch":
        return instance.branch(), None
    return instance.element(), instance.condition()


def comprehension(instance):
    """return sum(x * x for x in nums if x % 2 == 0)"""
    reducer, choice = instance.kind.reducer, instance.random.choice
    element, condition = element_and_condition(instance)
    clauses = instance.clauses()
    if condition is None and element == clauses[-1][0] and len(clauses) == 1:
        return whole(instance, fill(instance, choice(reducer.named), n=listed_name(instance)), reducer.imports)
    if not reducer.inline:
        return None
    generator = instance.generator(element, condition)
    tail = generator[len(element) + 1 :].removeprefix("for ")
    return whole(instance, fill(instance, choice(reducer.inline), gen=generator, gen_tail=tail), reducer.imports)


def two_steps(instance):
    """kept = [x for x in nums if x % 2 == 0], then the result of kept."""
    reducer, choice = instance.kind.reducer, instance.random.choice
    element, condition = element_and_condition(instance)
    name = choice(("kept", "chosen", "found", "parts", "selected"))
    generator = instance.generator(element, condition)
    return [f"{name} = [{generator}]", f"return {fill(instance, choice(reducer.named), n=name)}"], reducer.imports


def kept_then_mapped(instance):
    """Filter in one line, map in the next."""
    kind, reducer = instance.kind, instance.kind.reducer
    if kind.shape != "pipeline" or not kind.filter or not kind.map or kind.source.type == "pair":
        return None
    name = instance.random.choice(("kept", "chosen", "found", "selected"))
    x = instance.variables()["x"]
    kept = f"{name} = [{instance.generator(x, instance.condition())}]"
    mapped = f"{instance.element()} for {x} in {name}"
    if not reducer.inline or instance.random.random() < 0.4:
        return [
            kept,
            f"{name} = [{mapped}]",
            f"return {fill(instance, instance.random.choice(reducer.named), n=name)}",
        ], reducer.imports
    return [
        kept,
        f"return {fill(instance, instance.random.choice(reducer.inline), gen=mapped, gen_tail=mapped)}",
    ], reducer.imports


def step_lines(instance, element):
    """The reducer's work on one element; a long element that is used twice gets a name first."""
    body = instance.kind.reducer.body
    if sum(line.count("{y}") for line in body) > 1 and not element.isidentifier():
        name = instance.random.choice(
            [n for n in ("value", "current", "new") if n not in instance.names_in(instance.variable)]
        )
        return [f"{name} = {element}"] + [fill(instance, line, y=name) for line in body]
    return [fill(instance, line, y=element) for line in body]


def started(instance, walk):
    reducer = instance.kind.reducer
    first = [fill(instance, reducer.start)] if reducer.start else []
    return first + walk + [f"return {fill(instance, reducer.result)}"], ""


def branch_steps(instance):
    return [
        f"if {instance.condition()}:",
        *indented(step_lines(instance, instance.element())),
        "else:",
        *indented(step_lines(instance, instance.otherwise())),
    ]


def loop(instance):
    """for x in nums: if x % 2 == 0: total += x * x"""
    if instance.kind.shape == "branch" and instance.random.random() < 0.7:
        return started(instance, loops(instance.clauses(), branch_steps(instance)))
    element, condition = element_and_condition(instance)
    return started(instance, loops(instance.clauses(), when(condition, step_lines(instance, element))))


def loop_continue(instance):
    """for x in nums: if not x % 2 == 0: continue"""
    if instance.kind.shape != "pipeline" or not instance.kind.filter:
        return None
    skip = [f"if not ({instance.condition()}):", "    continue"]
    return started(instance, loops(instance.clauses(), skip + step_lines(instance, instance.element())))


def by_index(instance):
    """for i in range(len(nums)), or while i < len(nums)"""
    if not instance.kind.source.listed or instance.variable == "i":
        return None
    argument, x = instance.args[0], instance.variables()["x"]
    element, condition = element_and_condition(instance)
    body = [f"{x} = {argument}[i]"] + when(condition, step_lines(instance, element))
    if instance.random.random() < 0.5 or instance.kind.reducer.key == "first":
        return started(instance, [f"for i in range(len({argument})):"] + indented(body))
    return started(instance, ["i = 0", f"while i < len({argument}):"] + indented(body + ["i += 1"]))


def map_filter(instance):
    """sum(map(lambda x: x * x, filter(lambda x: x % 2 == 0, nums)))"""
    kind, reducer = instance.kind, instance.kind.reducer
    clauses = instance.clauses()
    if kind.shape != "pipeline" or len(clauses) > 1 or kind.source.type == "pair" or not (kind.filter or kind.map):
        return None
    variable, sequence = clauses[0]
    if kind.filter:
        sequence = f"filter(lambda {variable}: {instance.condition()}, {sequence})"
    if kind.map:
        sequence = f"map(lambda {variable}: {instance.element()}, {sequence})"
    return [
        f"kept = list({sequence})",
        f"return {fill(instance, instance.random.choice(reducer.named), n='kept')}",
    ], reducer.imports


# ------------------------------------------------------------------------------------------- quantifier and positions


def quantifier_call(instance):
    generator = instance.generator(instance.condition(), None)
    call = {"all": "all", "any": "any", "none": "not any"}[instance.kind.reducer]
    return whole(instance, f"{call}({generator})")


def quantifier_count(instance):
    test = {"all": "not {l}", "any": "len({l}) > 0", "none": "not {l}"}[instance.kind.reducer]
    condition = instance.condition()
    x = instance.element()
    kept = f"[{instance.generator(x, f'not ({condition})' if instance.kind.reducer == 'all' else condition)}]"
    return whole(instance, test.format(l=kept))


def quantifier_loop(instance):
    every = instance.kind.reducer == "all"
    condition = f"not ({instance.condition()})" if every else instance.condition()
    found = "True" if instance.kind.reducer == "any" else "False"
    rest = "False" if found == "True" else "True"
    return loops(instance.clauses(), when(condition, [f"return {found}"])) + [f"return {rest}"], ""


def positions_list(instance):
    x, argument = instance.variables()["x"], instance.args[0]
    index = "i" if x != "i" else "j"
    kept = f"[{index} for {index}, {x} in enumerate({argument}) if {instance.condition()}]"
    if instance.kind.reducer.key == "list":
        return whole(instance, kept)
    end = "[0]" if instance.kind.reducer.key == "first" else "[-1]"
    return [f"found = {kept}", f"return found{end} if found else -1"], ""


def positions_loop(instance):
    x, argument, key = instance.variables()["x"], instance.args[0], instance.kind.reducer.key
    index = "i" if x != "i" else "j"
    if key == "list":
        start, body, end = (
            [f"{instance.accumulator} = []"],
            [f"{instance.accumulator}.append({index})"],
            instance.accumulator,
        )
    elif key == "first":
        start, body, end = [], [f"return {index}"], "-1"
    else:
        start, body, end = [f"{instance.accumulator} = -1"], [f"{instance.accumulator} = {index}"], instance.accumulator
    if instance.random.random() < 0.5:
        walk = [f"for {index}, {x} in enumerate({argument}):"] + indented(when(instance.condition(), body))
    else:
        condition = instance.condition(x=f"{argument}[{index}]", y="")
        walk = [f"for {index} in range(len({argument})):"] + indented(when(condition, body))
    return start + walk + [f"return {end}"], ""


# ------------------------------------------------------------------------------------------------------ dictionaries


def dictionary_comprehension(instance):
    if instance.kind.shape != "mapping":
        return None
    pair = f"{instance.variables()['x']}: {instance.element()}"
    return whole(instance, "{" + instance.generator(pair, instance.condition()) + "}")


def dictionary_call(instance):
    x = instance.variables()["x"]
    if instance.kind.shape == "mapping":
        return whole(instance, f"dict({instance.generator(f'({x}, {instance.element()})', instance.condition())})")
    if instance.kind.shape == "counts":
        return whole(
            instance,
            f"dict(Counter({instance.generator(instance.element(), instance.condition())}))",
            "from collections import Counter",
        )
    return None


def dictionary_loop(instance):
    kind, r, x, choice = instance.kind, instance.accumulator, instance.variables()["x"], instance.random.choice
    key = instance.element()
    if kind.shape == "mapping":
        body = [f"{r}[{x}] = {key}"]
    else:
        body = [] if key == x else [f"key = {key}"]
        key = x if key == x else "key"
        if kind.shape == "counts":
            body += choice(
                (
                    [f"{r}[{key}] = {r}.get({key}, 0) + 1"],
                    [f"if {key} not in {r}:", f"    {r}[{key}] = 0", f"{r}[{key}] += 1"],
                    [f"if {key} in {r}:", f"    {r}[{key}] += 1", "else:", f"    {r}[{key}] = 1"],
                )
            )
        else:
            body += choice(
                (
                    [f"{r}.setdefault({key}, []).append({x})"],
                    [f"if {key} not in {r}:", f"    {r}[{key}] = []", f"{r}[{key}].append({x})"],
                )
            )
    return [f"{r} = {{}}"] + loops(instance.clauses(), when(instance.condition(), body)) + [f"return {r}"], ""


STYLES = {
    "pipeline": (
        comprehension,
        comprehension,
        two_steps,
        kept_then_mapped,
        loop,
        loop,
        loop_continue,
        by_index,
        map_filter,
    ),
    "branch": (comprehension, two_steps, loop, loop, by_index),
    "quantifier": (quantifier_call, quantifier_count, quantifier_loop),
    "positions": (positions_list, positions_loop),
    "mapping": (dictionary_comprehension, dictionary_call, dictionary_loop),
    "counts": (dictionary_call, dictionary_loop),
    "groups": (dictionary_loop,),
}


def program(instance, style=None):
    """The text of a whole program in `style`, or in one that is drawn; None where the style does not fit."""
    styles = STYLES[instance.kind.shape]
    written = None
    while written is None:
        written = (style or instance.random.choice(styles))(instance)
        if written is None and style:
            return None
    body, imports = written
    head = [imports, "", ""] if imports else []
    return "\n".join(head + [f"def {instance.name}({', '.join(instance.args)}):"] + indented(body)) + "\n"
