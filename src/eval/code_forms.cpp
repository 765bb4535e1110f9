#include "code_forms.hpp"

#include <algorithm>

#include "observed_text.hpp"
#include "preimage/base/json.hpp"

namespace preimage::eval {
namespace {

// L1 drops what ast.parse has dropped already (comments, layout, the kind of quotes), docstrings
// and the `kind` of constants. L2 also numbers the names that functions, lambdas and comprehensions
// bind, by first occurrence; what modules and classes bind, attributes, keywords of calls and
// imported names stay. `SOURCES` is a list of texts.
const char* const kForms = R"py(
import ast, hashlib

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

def digest(tree):
    return hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest()[:32]

def strip(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.kind = None
        if isinstance(node, FUNCTIONS + (ast.ClassDef, ast.Module)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                del node.body[0]
    return tree

def bound_names(node, body):
    """Names that the scope of `node` binds, arguments included, those of inner scopes not."""
    names, others = set(), set()
    if hasattr(node, "args"):
        a = node.args
        names.update(x.arg for x in a.posonlyargs + a.args + a.kwonlyargs + [x for x in (a.vararg, a.kwarg) if x])
    def look(item, walrus_only):
        if isinstance(item, ast.NamedExpr):
            names.add(item.target.id)
        inner = isinstance(item, COMPREHENSIONS)
        if not walrus_only:
            if isinstance(item, FUNCTIONS + (ast.ClassDef,)):
                names.add(item.name)
                return
            if isinstance(item, ast.Lambda):
                return
            if isinstance(item, ast.Name) and not isinstance(item.ctx, ast.Load):
                names.add(item.id)
            elif isinstance(item, (ast.Global, ast.Nonlocal)):
                others.update(item.names)
            elif isinstance(item, ast.ExceptHandler) and item.name:
                names.add(item.name)
            elif isinstance(item, ast.alias) and item.asname:
                names.add(item.asname)
            elif isinstance(item, (ast.MatchAs, ast.MatchStar)) and item.name:
                names.add(item.name)
            elif isinstance(item, ast.MatchMapping) and item.rest:
                names.add(item.rest)
        for child in ast.iter_child_nodes(item):
            look(child, walrus_only or inner)
    for item in body:
        look(item, False)
    return names - others

class Renamer(ast.NodeTransformer):
    def __init__(self):
        self.scopes, self.count = [], 0   # each: (of a class, {name: number or None})

    def name(self, name):
        for depth, (of_class, names) in enumerate(reversed(self.scopes)):
            if name in names and not (of_class and depth > 0):
                if of_class:
                    return name
                if names[name] is None:
                    names[name] = "_%d" % self.count
                    self.count += 1
                return names[name]
        return name

    def enter(self, names, of_class=False):
        self.scopes.append((of_class, dict.fromkeys(names)))

    def all(self, nodes):
        for node in nodes:
            if node is not None:
                self.visit(node)

    def outer_of_arguments(self, a):
        self.all(a.defaults + a.kw_defaults)
        self.all([x.annotation for x in a.posonlyargs + a.args + a.kwonlyargs + [x for x in (a.vararg, a.kwarg) if x]])

    def rename_arguments(self, a):
        for x in a.posonlyargs + a.args + a.kwonlyargs + [x for x in (a.vararg, a.kwarg) if x]:
            x.arg = self.name(x.arg)

    def visit_FunctionDef(self, node):
        self.all(node.decorator_list)
        node.name = self.name(node.name)
        self.outer_of_arguments(node.args)
        self.all([node.returns])
        self.enter(bound_names(node, node.body))
        self.rename_arguments(node.args)
        self.all(node.body)
        self.scopes.pop()
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        self.outer_of_arguments(node.args)
        self.enter(bound_names(node, [node.body]))
        self.rename_arguments(node.args)
        self.visit(node.body)
        self.scopes.pop()
        return node

    def visit_ClassDef(self, node):
        self.all(node.decorator_list + node.bases + node.keywords)
        node.name = self.name(node.name)
        self.enter(bound_names(None, node.body), of_class=True)
        self.all(node.body)
        self.scopes.pop()
        return node

    def comprehension(self, node):
        self.visit(node.generators[0].iter)     # belongs to the scope outside
        self.enter({n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)})
        for i, g in enumerate(node.generators):
            self.visit(g.target)
            self.all(([] if i == 0 else [g.iter]) + g.ifs)
        self.all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self.scopes.pop()
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension

    def visit_Name(self, node):
        node.id = self.name(node.id)
        return node

    def visit_Nonlocal(self, node):
        node.names = [self.name(n) for n in node.names]
        return node

    def visit_ExceptHandler(self, node):
        self.all([node.type])
        if node.name:
            node.name = self.name(node.name)
        self.all(node.body)
        return node

    def visit_alias(self, node):
        if node.asname:
            node.asname = self.name(node.asname)
        return node

    def visit_MatchAs(self, node):
        self.all([node.pattern])
        if node.name:
            node.name = self.name(node.name)
        return node

    def visit_MatchStar(self, node):
        if node.name:
            node.name = self.name(node.name)
        return node

    def visit_MatchMapping(self, node):
        self.all(node.keys + node.patterns)
        if node.rest:
            node.rest = self.name(node.rest)
        return node

def forms(source):
    try:
        tree = strip(ast.parse(source))
        first = digest(tree)
        return first + " " + digest(Renamer().visit(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "-"

FORMS = "\n".join(forms(source) for source in SOURCES)
)py";

}  // namespace

sandbox::Request code_forms_request(const std::vector<std::string>& programs) {
  sandbox::Request request;
  // Texts and lists of texts of JSON are Python literals too.
  request.program = "SOURCES = " + base::Json(programs).dump() + kForms;
  request.observe = sandbox::Observation{.attribute = "FORMS"};
  return request;
}

std::optional<std::vector<CodeForms>> code_forms(const sandbox::Record& record, size_t programs) {
  const auto text = observed_text(record);
  std::vector<CodeForms> forms;
  for (size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    const auto line = text.substr(begin, end - begin);
    const auto space = line.find(' ');
    if (space == std::string::npos) {
      forms.emplace_back();
    } else {
      forms.push_back({true, line.substr(0, space), line.substr(space + 1)});
    }
    begin = end + 1;
  }
  if (forms.size() != programs) return std::nullopt;
  return forms;
}

}  // namespace preimage::eval
