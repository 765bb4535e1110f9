// Any bytes as a job file and as a --set argument: errors are listed, nothing else happens.
#include <algorithm>

#include "preimage/base/config.hpp"
#include "preimage/base/error.hpp"

namespace {

struct Inner {
  int64_t count = 3;
  std::vector<double> rates = {0.1};
  void fields(preimage::base::Fields& f) {
    f.add("count", count, {.help = "how many", .min = 0, .max = 100});
    f.add("rates", rates, {.help = "learning rates", .min = 0, .max = 1});
  }
};

struct Config {
  std::string name = "x";
  std::string kind = "one";
  bool on = false;
  double lr = 0.5;
  std::vector<int64_t> ids;
  std::vector<std::string> words;
  Inner inner;
  void fields(preimage::base::Fields& f) {
    f.add("name", name, {.help = "a name", .required = true});
    f.add("kind", kind, {.help = "a kind", .choices = {"one", "two"}});
    f.add("on", on, {.help = "a switch"});
    f.add("lr", lr, {.help = "a rate", .unit = "1/step", .min = 0, .max = 10});
    f.add("ids", ids, {.help = "ids"});
    f.add("words", words, {.help = "words"});
    f.group("inner", inner);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace base = preimage::base;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Config config;
  auto fields = base::fields_of(config);
  try {
    const auto tree = base::parse_json(text, "job.json");
    if (base::read_fields(fields, tree, "job.json", text).empty()) {
      Config copy;
      auto copied = base::fields_of(copy);
      const auto errors = base::read_fields(copied, base::to_json(fields), "copy");
      base::check(errors.empty(), "an accepted config is accepted again");
      base::check(base::to_json(copied) == base::to_json(fields), "and has the same values");
    }
  } catch (const base::Error& error) {
    if (error.code() != base::ExitCode::bad_data && error.code() != base::ExitCode::bad_config)
      throw;
  }
  try {
    base::set_field(fields, text);
  } catch (const base::Error& error) {
    if (error.code() != base::ExitCode::bad_data && error.code() != base::ExitCode::bad_config)
      throw;
  }
  return 0;
}
