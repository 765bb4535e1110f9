#include "observed_text.hpp"

namespace preimage::eval {

std::string observed_text(const sandbox::Record& record) {
  const auto claimed =
      record.facts.is_object() ? record.facts.value("claimed", base::Json()) : base::Json();
  if (!claimed.is_object() || claimed.value("loaded", base::Json()) != true) return "";
  const auto found = claimed.find("attribute");
  return found != claimed.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace preimage::eval
