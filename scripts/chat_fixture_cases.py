"""Cases of make_chat_fixtures.py: small templates that probe jinja2's semantics, templates in the forms of
published checkpoints, and the requests that these are rendered for."""

# A template, or (template, variables).
DATA = {"d": {"b": 2, "a": 1, "items": "shadowed", "n": None}, "l": [3, 1, 2], "s": "Hello, Wörld 🙂", "n": None, "t": True,
        "f": 1.5, "users": [{"name": "Ann", "age": 3, "tags": ["x"]}, {"name": "bob", "age": 1}, {"name": "Cy", "age": 2, "tags": []}]}
SEMANTIC = [
    # white space control
    "  {% if true %}\n  a\n  {% endif %}\nb\n", "a {%- if true -%} b {%- endif -%} c", "x\n  {{ 1 }}\n  y\n", "x\n  {{- 1 -}}\n  y\n",
    "{% if true +%}\n a{% endif %}\n", "a\n  {%+ if true %}b{% endif %}", "{# c #}\nb{#- c -#}  d", "a\r\nb\rc\n\n",
    "  {% raw %} {{ x }} {% endraw %}\n  y", "{%- raw -%} {% if %} {%- endraw -%} z", "a\n\n  {%- if true %}\n\nb{% endif %}\n\n",
    "\t{% set x = 1 %}\n{{ x }}", "a{% if true %}\n{% endif %}b\n  {# x #}\nc", "{{ 'a' }}\n{{ 'b' }}\n", "{{ '{{' }} {{ '%}' }} { { % }",
    "  {#+ x #} y", "{% if true %}  {% endif %}|", "\n\n{% set a = 1 %}\n\nx\n", "x {%- set a = 1 %}  \n y", "", "\n", "{% for i in [1,2] %}\n{{ i }}\n{% endfor %}\n",
    "{%- for i in [1,2] -%}\n{{ i }}\n{%- endfor -%}\n", "{{ 1 -}}\n  x", "a\n  {#- c #}\n  b", "{{\n  1\n}}", "{% raw +%}\nx{% endraw %}\ny", "{%- raw %}\nx\n{%- endraw +%}\ny",
    # literals
    "{{ 1 }} {{ 1.0 }} {{ 1e3 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e-7 }} {{ 1e16 }} {{ 123456789012345678.0 }}",
    r"{{ 'a\n\t\\\'\"b' }}{{ '\x41\u00e9\U0001F642\101' }}{{ '\q' }}", "{{ 'a' 'b' \"c\" }}", "{{ true }} {{ True }} {{ none }} {{ None }} {{ false }}",
    "{{ [1, 'a', none, true, 1.0, [], {}, ()] }}", "{{ (1,) }} {{ (1, 2) }} {{ () }} {{ 1, 2 }}", "{{ {'a': 1, 'b': [1, {'c': \"it's\"}]} }}",
    r"""{{ ["it's", 'say "x"', '\'"', '\n\t\r', '\x00\x7f\x85\xa0\xad', 'é🙂', '\u200b\ue000'] }}""", "{{ -1 }} {{ +1 }} {{ - 2 ** 2 }} {{ 2 ** -1 }} {{ 2 ** 10 }}",
    "{{ 0.1 + 0.2 }} {{ 1 / 3 }} {{ 100.0 }} {{ 1e22 }} {{ 1e-5 }} {{ 0.0001 }} {{ -0.0 }}", "{{ [1,2,] }} {{ {'a':1,} }} {{ (1,2,) }}",
    # operators
    "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7.5 % 2 }} {{ -7.5 // 2 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 2 * 3.0 }}",
    "{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1] + [2] }} {{ [1] * 2 }} {{ (1,) + (2,) }}", "{{ 'a' ~ 1 ~ none ~ 1.5 ~ [1] ~ true }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1,2] < [1,3] }} {{ (1,) == [1] }}",
    "{{ 1 in [1,2] }} {{ 'a' in 'cat' }} {{ 'x' not in {'x': 1} }} {{ 3 in (1,2) }} {{ none in [none] }}", "{{ not true }} {{ not '' }} {{ not not 1 }}",
    "{{ 1 and 2 }} {{ 0 or 'x' }} {{ '' and x.y.z }} {{ 1 or x.y.z }}", "{{ 'a' if true else 'b' }} {{ 'a' if false }}|{{ ('a' if false) is defined }}",
    "{{ 1 + 2 * 3 ** 2 - 4 }} {{ (1 + 2) * 3 }} {{ 1 ~ 2 + 3 }} {{ 2 - 1 ~ 3 }} {{ 10 - 3 - 2 }} {{ 2 ** 3 ** 2 }}", "{{ 1 if 2 if 0 else 3 else 4 }}",
    "{{ '%s and %d and %5.2f|%-5s|%05d|%x|%r|%%' % ('a', 3, 2.5, 'b', 42, 255, 'q') }}", "{{ '%s' % 'x' }} {{ '%s' % 3 }} {{ '%(a)s-%(b)d' % {'a': 'x', 'b': 2} }}",
    "{{ 'a' + 1 }}", "{{ 1 + 'a' }}", "{{ [] + 'a' }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{{ none + 1 }}", "{{ 'a' < 1 }}", "{{ none < 1 }}", "{{ 1 in 5 }}", "{{ 1 in 'a' }}",
    "{{ 3 == 3 and 'a' != 'b' or x }} {{ not 1 == 2 }} {{ -1 == -1 }}", "{{ 5 is odd and 4 is even }} {{ 'a' if 1 > 2 else 'b' if 2 > 3 else 'c' }}",
    # names, attributes, items
    ("{{ d.a }} {{ d['b'] }} {{ d.items is callable }}", DATA), ("{{ d['items'] }} {{ d.zz }}|{{ d['zz'] }}|{{ d.zz is defined }}", DATA), ("{{ d.zz.y }}", DATA), ("{{ zz.y }}", DATA), ("{{ zz }}|{{ zz is defined }}|{{ d.n }}", DATA),
    ("{{ l[0] }} {{ l[-1] }} {{ l[5] }}|{{ l['x'] }}|{{ l.0 }} {{ s[0] }} {{ s[-1] }} {{ s[8] }}", DATA), ("{{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ s[1:4] }} {{ s[::-2] }} {{ s[-3:] }} {{ l[5:9] }} {{ l[2:0:-1] }}", DATA),
    ("{{ n.foo }}|{{ n['x'] }}|{{ t.foo }}|{{ (1).foo }}", DATA), ("{{ d[none] }}|{{ d[1] }}|{{ d[[1]] }}", DATA), ("{{ x[1:] }}", {}), ("{{ n[1:] }}", DATA), ("{{ {1: 'a', 'b': 2, none: 3, (1,2): 4}[(1,2)] }}", {}), ("{{ {1: 'a'}[1.0] }} {{ {true: 'x'}[1] }}", {}),
    ("{{ l[true] }} {{ l[1.0] }}|", DATA), ("{{ 'abc'.1 }} {{ [[1,2],[3]][0][1] }}", {}), ("{{ d.__class__ }}|", DATA), ("{{ d.__class__.x }}", DATA), ("{{ s.upper is callable }} {{ d.get is defined }}", DATA), ("{{ [1, 2][[1]] }}|", {}),
    # methods
    ("{{ s.upper() }} {{ s.lower() }} {{ s.title() }} {{ 'hELLO wORLD'.capitalize() }} {{ 'aB'.swapcase() }}", DATA), ("{{ '  a b '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ '  a '.lstrip() }}|{{ ' a  '.rstrip() }}|{{ '\n\ta\u00a0'.strip() }}|", {}),
    ("{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.rsplit(' ', 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ ' a b  c '.split(none, 1) }} {{ 'a b c '.rsplit(maxsplit=1) }}", {}),
    ("{{ '</think>x</think>y'.split('</think>')[-1].lstrip('\\n') }}", {}), ("{{ 'abc'.startswith('a') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.startswith('b', 1) }} {{ 'abc'.startswith('') }}", {}),
    ("{{ 'banana'.find('an') }} {{ 'banana'.rfind('an') }} {{ 'banana'.find('x') }} {{ 'banana'.count('an') }} {{ 'banana'.index('n') }} {{ 'aaa'.count('') }} {{ 'wörld'.find('r') }}", {}), ("{{ 'a'.index('x') }}", {}),
    ("{{ 'a-b-c'.replace('-', '+') }} {{ 'a-b-c'.replace('-', '+', 1) }} {{ 'abc'.replace('', '.') }}", {}), ("{{ ', '.join(['a', 'b']) }} {{ ''.join('abc') }}", {}), ("{{ ','.join([1]) }}", {}),
    ("{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('x') }} {{ 'abc'.rpartition('x') }}", {}), ("{{ 'ab'.ljust(4) }}|{{ 'ab'.rjust(4, '.') }}|{{ 'ab'.center(5) }}|{{ 'a'.center(4) }}|{{ '-5'.zfill(4) }}|", {}),
    ("{{ 'abc'.isalpha() }} {{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'Ab'.istitle() }} {{ 'AB'.isupper() }} {{ 'ab'.islower() }} {{ ''.isalpha() }} {{ '²'.isdigit() }} {{ '½'.isnumeric() }} {{ 'é'.isascii() }} {{ 'a_1'.isidentifier() }}", {}),
    ("{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb'.splitlines(true) }}", {}), ("{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }}", {}), ("{{ 'Straße ŒUVRE ΑΣ'.lower() }} {{ 'Straße ﬁ ŉ'.upper() }} {{ 'ΑΣ ΑΣΑ'.lower() }} {{ 'ß'.casefold() }} {{ 'ǆ'.title() }}", {}),
    ("{{ d.get('a') }} {{ d.get('zz') }} {{ d.get('zz', 5) }} {{ d.keys() }} {{ d.values() }} {{ d.items() }} {{ d.keys()|list }}", DATA), ("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", DATA), ("{{ l.index(1) }} {{ l.count(3) }} {{ (1,2,1).count(1) }}", DATA), ("{{ l.append(4) }}", DATA), ("{{ d.update({'x': 1}) }}", DATA), ("{{ d.pop('a') }}", DATA),
    ("{{ '{} {}'.format(1, 'a') }} {{ '{0}-{1}-{0}'.format('a', 'b') }} {{ '{name!r:>6}|{x:.2f}|{y:05d}|{z:,}'.format(name='N', x=1.234, y=42, z=1234567) }} {{ '{0[a]} {0.b}'.format(d) }} {{ '{{}}'.format() }}", DATA),
    ("{{ '{}'.format() }}", {}), ("{{ 'a'.nope() }}", {}), ("{{ 'a'() }}", {}), ("{{ x() }}", {}), ("{{ 'abc'.upper().lower()[1:].replace('b', 'z') }}", {}), ("{{ 'a' is string }}", {}), ("{{ '%s' % d }} {{ '%s' % [1, 2] }} {{ '%s %s' % (1, [2]) }}", DATA),
    ("{{ 'x'.split('') }}", {}), ("{{ 'a\tb'.expandtabs is defined }} {{ 'aXbX'.split('X') }} {{ 'aXbX'.rsplit('X', 1) }}", {}), ("{{ {'a': 1}.items() | list }} {{ {'a': 1} | items | list }} {{ ({'a': 1}.items()) | length }}", {}),
    # set and scopes
    "{% set x = 1 %}{% set x = x + 1 %}{{ x }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, (b, c) = 1, (2, 3) %}{{ a }}{{ b }}{{ c }}", "{% set x = 1, 2 %}{{ x }}", "{% set a, b = [1] %}", "{% set a, b = [1, 2, 3] %}",
    "{% set x = 0 %}{% for i in [1,2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "{% set x = 0 %}{% if true %}{% set x = 5 %}{% endif %}{{ x }}", "{% set ns = namespace(x=0) %}{% for i in [1,2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns.c }}|{{ ns['a'] }}", "{% set x = 1 %}{% set x.y = 2 %}", "{% set ns = namespace(_a=1) %}", "{% set ns = namespace() %}{% set ns._a = 1 %}",
    "{% set x %}a{{ 1 }}b{% endset %}[{{ x }}]", "{% set x | upper | trim %}  abc {% endset %}[{{ x }}]", "{% set ns = namespace() %}{% set ns.x %}abc{% endset %}{{ ns.x }}", "{% set x = 1 %}{% set y %}{% set x = 2 %}{{ x }}{% endset %}{{ x }}{{ y }}",
    "{% if false %}{% set x = 1 %}{% endif %}{{ x is defined }}", "{% for i in [1,2] %}{% if i == 1 %}{% set y = 5 %}{% endif %}{{ y }}|{% endfor %}", "{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% set ns = namespace(a=1) %}{% set ns.a, ns.b = 2, 3 %}{{ ns.a }}{{ ns.b }}", ("{% set d = d %}{{ d.a }}{% set messages = 5 %}{{ messages }}", DATA), "{% set loop = 1 %}{{ loop }}", "{% set true = 1 %}", "{% set x = x %}{{ x is undefined }}",
    # for
    "{% for i in [1,2,3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}", "{% for i in [] %}x{% else %}none{% endfor %}", "{% for a, b in [(1,2),(3,4)] %}{{ a }}{{ b }};{% endfor %}",
    "{% for a, (b, c) in [(1,(2,3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for i in [1,2,3,4] if i is even %}{{ i }}{{ loop.index }}{{ loop.length }}{{ loop.last }};{% endfor %}", "{% for i in [1,2,3] %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }};{% endfor %}",
    "{% for i in [1,2,3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% for i in [1,2,3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% else %}E{% endfor %}", "{% for i in [1] %}{% break %}{% else %}E{% endfor %}", "{% for i in [1,2] %}{% continue %}{% else %}E{% endfor %}",
    "{% for i in 'abc' %}{{ i }}-{% endfor %}", "{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}", "{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}", "{% for i in 5 %}x{% endfor %}", "{% for i in none %}x{% endfor %}", "{% for i in zz %}x{% else %}e{% endfor %}",
    "{% for i in [1,1,2] %}{{ loop.changed(i) }}{{ loop.cycle('a','b') }};{% endfor %}", "{% for i in [1,2] %}{% for j in [1,2] %}{{ loop.index }}{{ i }}{{ j }};{% endfor %}{{ loop.index }}{% endfor %}", "{% for i in [1,2] %}{% set outer = loop %}{% for j in 'ab' %}{{ outer.index }}{{ loop.index }}{% endfor %}{% endfor %}",
    "{% for i in [[1,[2,[3]]],[4]] recursive %}{{ loop.depth }}{% if i is iterable %}[{{ loop(i) }}]{% else %}{{ i }}{% endif %}{% endfor %}", "{% for i in [1] %}{{ loop(i) }}{% endfor %}", "{% for loop in [1] %}{% endfor %}", "{% break %}", "{% for i in [1,2,3] %}{{ loop }}{% break %}{% endfor %}",
    "{% for a, b in [1] %}{% endfor %}", "{% for a, b in [(1,2,3)] %}{% endfor %}", "{% set ns = namespace(n=0) %}{% for i in [1,2,3] if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ i }}{% endfor %}", "{% set ns = namespace(n=0) %}{% for i in [1,2,3] if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ i }}{{ loop.last }}{% endfor %}",
    "{% for i in [1,2] %}{{ i }}{% endfor %}{{ i }}|{{ loop }}", "{% for m in messages %}{{ m.role }}{{ m['content'] }}{{ loop.index0 }}{% endfor %}", ("{% for u in users|sort(attribute='age') %}{{ u.name }}{% endfor %}", DATA), "{% for x in [1,2,3][::-1] %}{{ x }}{% endfor %}", "{% for x in [3,1]|sort|reverse %}{{ x }}{% endfor %}",
    "{% for i in [1,2,3]|select('odd') %}{{ i }}{{ loop.length }}{{ loop.revindex }};{% endfor %}", "{% for x in (1, 2) %}{{ x }}{% endfor %}{% for x in 1, 2 %}{{ x }}{% endfor %}",
    # if
    "{% if 0 %}a{% elif '' %}b{% elif [0] %}c{% else %}d{% endif %}", "{% if zz %}a{% else %}b{% endif %}", "{% if zz is defined and zz.x %}a{% endif %}b", "{% if not zz %}n{% endif %}", "{% if 1, 2 %}t{% endif %}", "{%if 1%}a{%endif%}", "{% if 1: %}a{% endif %}",
    # macros and calls
    "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=6) }}{{ m() }}", "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}",
    "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(7) }}", "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}x{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a }}-{{ b }}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
    "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro m() %}{{ y }}{% endmacro %}{% set y = 2 %}{{ m() }}", "{% set y = 1 %}{% macro m() %}{% set y = 2 %}{{ y }}{% endmacro %}{{ m() }}{{ y }}", "{% macro m(x) %} {{ x }} {% endmacro %}{{ m('a') | trim }}|{{ m('a') ~ m('b') }}",
    "{%- macro m(x) -%}\n  {{- x -}}\n{%- endmacro -%}\n[{{ m(1) }}]", "{% macro m(a, b) %}{{ a is defined }}{{ b is defined }}{% endmacro %}{{ m(1) }}", "{{ m() }}{% macro m() %}x{% endmacro %}", "{% for i in [1,2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m(*a) %}{% endmacro %}", "{% macro m() %}{% endmacro %}{{ m }} {{ m.name }} {{ m.arguments }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}{{ m(5, *[6]) }}", "{% macro m(a=1, caller=none) %}{{ a }}{{ caller }}{% endmacro %}{{ m() }}", "{% macro outer() %}{% macro inner() %}i{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}{{ inner is defined }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ [1,2]|map('string')|map('upper')|join }}{{ m(a=[1]) }}",
    # filters
    ("{{ l|length }} {{ s|length }} {{ d|length }} {{ ''|count }} {{ zz|length }}", DATA), "{{ 5|length }}", "{{ [1,2]|select|length }}", "{{ '  a '|trim }}|{{ 'xax'|trim('x') }}|{{ 5|trim }}|{{ none|trim }}|{{ zz|trim }}|", ("{{ s|upper }} {{ s|lower }} {{ s|title }} {{ s|capitalize }} {{ 'foo-bar (baz)'|title }}", DATA),
    ("{{ l|join }} {{ l|join(', ') }} {{ users|join('+', attribute='name') }} {{ 'abc'|join('-') }} {{ []|join }} {{ [1,none,1.5,true]|join(',') }}", DATA), "{{ zz|default('d') }} {{ ''|default('d') }}|{{ ''|default('d', true) }} {{ none|default('d') }} {{ none|d('e', true) }} {{ false|default('x', boolean=true) }} {{ zz|default }}|",
    ("{{ l|first }} {{ l|last }} {{ []|first }}|{{ ''|last }}|{{ 'ab'|first }} {{ d|first }} {{ d|last }}", DATA), "{{ [1,2]|select|last }}", ("{{ l|sort }} {{ l|sort(reverse=true) }} {{ ['b','A','c']|sort }} {{ ['b','A','c']|sort(case_sensitive=true) }} {{ users|sort(attribute='name')|map(attribute='name')|list }} {{ users|sort(attribute='age,name')|map(attribute='age')|join }}", DATA), "{{ [1,'a']|sort }}",
    ("{{ l|reverse|list }} {{ 'abc'|reverse }} {{ d|list }} {{ 'ab'|list }} {{ range(3)|list }}", DATA), ("{{ d|dictsort }} {{ {'b':1,'A':2}|dictsort }} {{ {'b':1,'A':2}|dictsort(true) }} {{ {'b':1,'A':2}|dictsort(by='value') }} {{ {'b':1,'A':2}|dictsort(reverse=true) }}", {"d": {"b": 2, "a": 1}}),
    ("{{ users|map(attribute='name')|list }} {{ users|map(attribute='tags', default='-')|list }} {{ ['a','b']|map('upper')|join }} {{ [[1,2],[3]]|map('length')|list }} {{ users|map(attribute='tags.0')|list }} {{ users|map('upper')|first is string }}", DATA), "{{ [1]|map|list }}", "{{ [1]|map('nope')|list }}",
    ("{{ users|selectattr('age','gt',1)|map(attribute='name')|list }} {{ users|selectattr('tags')|list|length }} {{ users|selectattr('tags','defined')|list|length }} {{ users|rejectattr('name','equalto','bob')|map(attribute='name')|join(',') }} {{ users|selectattr('name','in',['Ann'])|list|length }}", DATA),
    "{{ [1,2,3,4]|select('odd')|list }} {{ [1,2,3]|reject('odd')|list }} {{ [0,1,'',none]|select|list }} {{ [1,5]|select('>', 2)|list }} {{ [1,2]|select('divisibleby', 2)|list }}", "{{ ['a','B','b','A']|unique|list }} {{ [1,1,2]|unique|list }} {{ ['a','A']|unique(true)|list }}", ("{{ users|unique(attribute='name')|list|length }}", DATA),
    "{{ 'a b'|replace(' ', '_') }} {{ 'aaa'|replace('a', 'b', 2) }} {{ 5|replace('5', '6') }}", "{{ 'a\nb\n\nc'|indent }}|{{ 'a\nb'|indent(2, true) }}|{{ 'a\n\nb'|indent(2, blank=true) }}|{{ 'a\nb\n'|indent('> ') }}|{{ ''|indent }}|{{ 'a\nb'|indent(first=true, width=1) }}|",
    "{{ '5'|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ 3.7|int }} {{ '3.7'|int }} {{ '0x1A'|int(base=16) }} {{ true|int }} {{ none|int }} {{ ' 12 '|int }} {{ '-3'|int }} {{ '1_0'|int }}", "{{ '5'|float }} {{ 'x'|float }} {{ '1e3'|float }} {{ 3|float }} {{ none|float(2.5) }} {{ 'inf'|float }}",
    "{{ 2.5|round }} {{ 3.14159|round(2) }} {{ 2.1|round(0,'ceil') }} {{ 2.9|round(method='floor') }} {{ 5|round }} {{ 0.125|round(2) }} {{ 42.55|round(1,'floor') }} {{ 1234|round(-2) }}", "{{ -5|abs }} {{ (-5)|abs }} {{ (-1.5)|abs }}", "{{ 1|string ~ 2|string }} {{ none|string }} {{ [1]|string }}",
    "{{ [1,2,3,4,5]|batch(2)|list }} {{ [1,2,3]|batch(2,'x')|list }} {{ [1,2,3,4,5]|slice(2)|list }} {{ [1,2,3]|slice(2,'x')|list }}", ("{% for g in users|groupby('age') %}{{ g.grouper }}{{ g.list|length }}{{ g[0] }};{% endfor %}{% for k, v in ['a','A','b']|groupby(0) %}{{ k }}{{ v }}{% endfor %}", DATA),
    "{{ [1,2,3]|sum }} {{ [1.5,2]|sum }} {{ []|sum }} {{ [[1],[2]]|sum(start=[]) }} {{ [{'a':1},{'a':2}]|sum('a') }}", "{{ [3,1,2]|min }} {{ ['b','A']|max }} {{ []|max }}|{{ [{'a':1},{'a':2}]|max(attribute='a') }}", "{{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, true) }} {{ 'foo bar baz qux'|truncate(11) }} {{ 'foo bar baz qux'|truncate(9, false, '.', 0) }}",
    "{{ 'a b  c_d'|wordcount }} {{ 'ab'|center(6) }}| {{ '%s-%s'|format(1, 2) }} {{ '%(x)s'|format(x=3) }}", "{{ '<a & \"b\">'|e }} {{ '<'|escape ~ '<' }} {{ ('<'|escape) + '<' }} {{ '<'|safe }} {{ ('<'|safe) + '<' }} {{ 'a b/é?'|urlencode }} {{ {'a b': 'c&d'}|urlencode }}", "{{ 'a'|nope }}", "{{ 'a'|attr('upper') is callable }} {{ {'a':1}|attr('a') }}|",
    "{% filter upper %}a{{ 'b' }}{% endfilter %}", "{% filter trim | replace('a', 'b') %}  a {% endfilter %}|", "{{ 1|default(2)|string|upper }}", "{{ ('a'|upper)[0] }} {{ 'a b'.split()|first|upper }} {{ -1|abs }} {{ 'x'|upper ~ 'y' }} {{ [1,2]|length + 1 }} {{ 2 * [1,2]|length }}", "{{ {'x': 1}|items|list }} {{ zz|items|list }}", "{{ 5|items|list }}", "{{ 'a'|list|length }}",
    "{{ [[1,'b'],[0,'a']]|sort }} {{ [(2,'x'),(1,'y')]|sort(attribute=1)|list }} {{ 'cab'|sort|join }}", "{{ ['x']|map('default', 'd')|list }} {{ [none, 'a']|map('default', 'z', true)|list }} {{ ['a,b']|map('replace', ',', ';')|first }}",
    # tojson
    ("{{ d|tojson }} {{ l|tojson }} {{ s|tojson }} {{ n|tojson }} {{ t|tojson }} {{ f|tojson }}", DATA), ("{{ users|tojson(indent=2) }}\n{{ [[], {}]|tojson(indent=4) }} {{ d|tojson(sort_keys=true, separators=(',', ':')) }}", {**DATA, "d": {"b": 2, "a": 1}}), "{{ 'é🙂\\u2028'|tojson(ensure_ascii=true) }} {{ 'é🙂<>&\\''|tojson }}",
    r"{{ '\"\\\n\t\r\x08\x0c\x01\x7f/'|tojson }}", "{{ (1, 2)|tojson }} {{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }} {{ 1e100|tojson }} {{ 1.0|tojson }} {{ -0.0|tojson }}", "{{ zz|tojson }}", "{{ range(2)|tojson }}", "{{ {(1,): 1}|tojson }}", "{{ {'a': [1, {'b': none}]}|tojson(indent='\t') }}", "{{ [1,2]|tojson(separators=[',', ':']) }} {{ {'b': 1, 'a': {'d': 1, 'c': 2}}|tojson(sort_keys=true) }}",
    ("{{ big|tojson }} {{ small }} {{ tiny|tojson }} {{ neg }}", {"big": 9007199254740993, "small": 1e-7, "tiny": 5e-324, "neg": -3}), ("{{ x|tojson }}", {"x": {"z": 1, "y": {"é": "ü", "q\"": []}, "empty": {}, "list": [1.5, -2, 1e21]}}),
    # tests
    ("{{ d is mapping }} {{ l is sequence }} {{ s is string }} {{ n is none }} {{ t is boolean }} {{ 1 is number }} {{ 1.0 is float }} {{ 1 is integer }} {{ t is integer }} {{ t is number }} {{ l is iterable }} {{ s is iterable }} {{ 5 is iterable }} {{ d is sequence }} {{ zz is sequence }} {{ zz is iterable }} {{ zz is callable }} {{ range is callable }}", DATA),
    "{{ 1 is odd }} {{ 2 is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }} {{ 1 is eq 1 }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 2 is ge(2) }} {{ 'a' is in 'abc' }} {{ 1 is in [2] }} {{ 1 is sameas 1 }} {{ true is sameas true }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 'A' is upper }} {{ 'a' is lower }} {{ 1 is not none }} {{ 1 is not odd }}",
    "{{ zz is undefined }} {{ zz.a is undefined }}", "{{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'odd' is test }}", "{{ 1 is nope }}", "{{ 1 is odd is even }}", "{{ (1 is odd) and not (2 is odd) }} {{ 3 is equalto(3) and 1 }}", "{{ 'x' is escaped }} {{ ('x'|e) is escaped }} {{ x is defined or 3 }}", "{{ [] is sameas [] }} {{ none is sameas none }} {{ {'a':1}.items() is sequence }} {{ {}.keys() is iterable }}",
    # undefined, globals
    "{{ zz + 1 }}", "{{ zz.x }}", "{{ zz ~ 'a' }}", "{{ zz == yy }} {{ zz == none }} {{ zz != 1 }} {{ 1 in zz }} {{ zz in [1] }}", "{{ zz < 1 }}", "{{ -zz }}", "{{ zz|upper }}|{{ zz|list }}|{{ zz|join }}", "{{ raise_exception('no: ' ~ 1) }}", "{{ dict(a=1, b=2) }} {{ dict({'x': 1}, y=2) }} {{ dict([('a', 1)]) }}", "{{ range(3) }} {{ range(1, 3) }} {{ range(3, 1, -1)|list }} {{ range(3)[1] }} {{ range(5)[1:3]|list }} {{ range(2)|length }} {{ 1 in range(3) }}",
    "{{ range(100001)|length }}", "{{ range('a') }}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}", "{% set j = joiner('; ') %}{% for i in [1,2,3] %}{{ j() }}{{ i }}{% endfor %}", "{{ bos_token }}{{ eos_token }}{{ unk_token }}|{{ pad_token }}", "{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} {{ messages|length }}",
    ("{{ bos_token }}{{ x }}{{ enable_thinking is defined and enable_thinking is false }}", {"bos_token": "B", "x": [1, {"a": None}], "enable_thinking": False}), "{{ messages[0]|tojson }} {{ messages }}", "{{ strftime_now is defined }} {{ nothing is defined }}",
    # generation, print, syntax errors
    "{% generation %}a{{ 1 }}{% endgeneration %}b", "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}", "{% print 1, 'a' %}", "{% nope %}", "{{ }}", "{{ 1 + }}", "{% if %}x{% endif %}", "{% if 1 %}x", "{% endif %}", "{% for x %}{% endfor %}", "{{ 'a }}", "{{ (1 }}", "{{ [1, 2 }}", "{{ {1: } }}", "{# x", "{% raw %}x", "{{ 1 2 }}", "{{ a b }}", "{{ 1..2 }}",
    "{% set %}", "{{ x.[1] }}", "{{ @ }}", "{{ a = 1 }}", "{% if 1 %}a{% else %}b{% elif 2 %}c{% endif %}", "{{ f(a=1, 2) }}", "{{ f(*[1], 2) }}", "{{ }} }}", "{{ ) }}", "{% macro m(a=1, b) %}{% endmacro %}", "{{ 'a' is defined if true else 1 }}", "{{ 1 if true else }}", "{% for i in [1] %}{% endif %}{% endfor %}",
    # forms that templates in the wild use
    "{%- if messages[0]['role'] == 'system' -%}S{%- else -%}N{%- endif -%}", "{{- '<|im_start|>' + messages[0].role + '\\n' + messages[0].content + '<|im_end|>\\n' }}", "{% set loop_messages = messages[1:] %}{{ loop_messages|length }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}{{ m.content | trim + eos_token }}{% endfor %}",
    "{%- set ns = namespace(is_first=false, is_tool=false, system_prompt='') -%}{%- for m in messages %}{%- if m['role'] == 'user' %}{%- set ns.is_tool = false -%}{{ '<U>' + m['content'] }}{%- endif %}{%- endfor -%}{{ ns.is_tool }}", "{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{{ index }}{{ message.content.startswith('<tool') and message.content.endswith('>') }}{%- endfor %}",
    "{%- set content = messages[0].content if messages[0].content is string else '' %}{{ content }}{{ messages[-1].content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}", "{{ messages[0].tool_calls }}|{% if messages[0].tool_calls is defined and messages[0].tool_calls %}x{% endif %}{% if 'tool_calls' in messages[0] %}y{% endif %}|{{ messages[0].get('tool_calls', []) }}",
    ("{%- macro render(t) -%}{%- if t.type == 'array' -%}{{ render(t['items']) + '[]' }}{%- elif t.type is string -%}{{ t.type }}{%- elif t.type is iterable -%}{%- for x in t.type -%}{{ x }}{%- if not loop.last %} | {% endif -%}{%- endfor -%}{%- endif -%}{%- endmacro -%}{{ render(t) }} {{ render({'type': ['a', 'b']}) }}", {"t": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}}),
    ("{%- for name, p in props.items() %}{{ name }}{{ '?' if name not in required }}: {{ p.type }}{{ ', // ' + p.description if p.description }}{{ '' if loop.last else ';' }}{%- endfor %}", {"props": {"a": {"type": "int", "description": "A"}, "b": {"type": "str"}}, "required": ["a"]}),
]

USER = {"role": "user", "content": "  Hi, wörld! 2 < 3 & \"q\" "}
ANSWER = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."}
SYSTEM = {"role": "system", "content": "Be brief."}
LAST = {"role": "user", "content": "2+2?"}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Gets weather.\nNow.", "parameters": {
    "type": "object", "properties": {
        "city": {"type": "string", "description": "City name"}, "unit": {"type": "string", "enum": ["c", "f"], "default": "c"},
        "days": {"type": "array", "items": {"type": "integer"}}}, "required": ["city"]}}}
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Oslo", "unit": "c"}}}]}
THINKING_CALL = {"role": "assistant", "content": "", "thinking": "need tool", "tool_calls": CALL["tool_calls"]}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call_1", "content": "{\"t\": 3}"}
REQUESTS = [
    {"messages": [USER], "add_generation_prompt": True},
    {"messages": [USER, ANSWER, LAST], "add_generation_prompt": True},
    {"messages": [SYSTEM, USER, ANSWER, LAST], "add_generation_prompt": True},
    {"messages": [SYSTEM, USER, ANSWER]},
    {"messages": [USER, CALL, RESULT, {"role": "assistant", "content": "3 degrees."}], "tools": [TOOL], "add_generation_prompt": True},
    {"messages": [SYSTEM, USER, CALL, RESULT, RESULT], "tools": [TOOL, TOOL], "add_generation_prompt": True},
    {"messages": [USER, THINKING_CALL, RESULT], "tools": [TOOL], "add_generation_prompt": True, "reasoning_effort": "high"},
    {"messages": [USER], "add_generation_prompt": True, "enable_thinking": False, "thinking": False},
    {"messages": [USER, {"role": "assistant", "content": "Yes.", "reasoning_content": "hmm"}], "thinking": True},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "part"}, {"type": "text", "text": "two"}]}]},
    {"messages": [ANSWER, USER]},
]

from chat_fixture_templates import PUBLISHED  # noqa: E402,F401
