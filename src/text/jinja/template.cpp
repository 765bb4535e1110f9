#include "jinja/template.hpp"

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::text::jinja {
namespace {

constexpr size_t kMaxSource = 4u << 20;

Tree parse_or_refuse(std::string_view source, const std::string& place) {
  if (source.size() > kMaxSource) {
    throw base::data_error(base::str(place, ": a chat template of ",
                                     base::human_bytes(source.size()), ", the limit is ",
                                     base::human_bytes(kMaxSource)));
  }
  if (const size_t bad = base::first_invalid_utf8(source); bad != source.npos) {
    throw base::data_error(base::str(place, ": byte ", bad, " of the chat template is not UTF-8"));
  }
  try {
    return parse(source);
  } catch (const SyntaxError& error) {
    throw base::data_error(base::str(place, ":", error.line, ": ", error.what()));
  }
}

}  // namespace

Template::Template(std::string_view source, std::string place)
    : source_(source), place_(std::move(place)), tree_(parse_or_refuse(source_, place_)) {}

Rendering Template::render(const Dict& context, const Limits& limits) const {
  Interpreter interpreter(tree_, context, limits);
  try {
    return interpreter.run();
  } catch (const Failure& failure) {
    throw base::data_error(base::str(place_, ":", interpreter.line(), ": ", failure.what()));
  }
}

}  // namespace preimage::text::jinja
