#include "preimage/run/job.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"
#include "preimage/run/sweep.hpp"

namespace preimage::run {
namespace {

using base::ConfigErrors;
using base::Json;
using base::str;

constexpr base::JsonLimits kJobLimits{.max_bytes = 1 << 20, .max_depth = 64};

// A malformed job file is a bad config (78), not bad data.
Json parse_document(const std::string& text, const std::string& place) {
  try {
    Json document = base::parse_json(text, place, kJobLimits);
    if (document.is_object()) return document;
    throw base::config_error(place + ": the job is not a JSON object; write {\"method\": ...}");
  } catch (const base::Error& error) {
    throw base::config_error(error.what());
  }
}

// The keys of a job that are no config fields.
struct Head {
  std::string method;
  Json sweep = Json::object();
};

Head take_head(Json& document, const std::string& place, const std::string& text) {
  Head out;
  const auto method = document.find("method");
  if (method == document.end()) {
    throw base::config_error(place + ": \"method\" is missing; name one of `preimage methods`");
  }
  if (!method->is_string()) {
    throw base::config_error(str(place, ":", base::line_of_key(text, "method"), ": \"method\" is ",
                                 base::described(*method),
                                 ", expected a string: one of `preimage methods`"));
  }
  out.method = *method;
  if (document.contains("sweep")) out.sweep = document["sweep"];
  for (const char* key : {"method", "sweep", "$schema"}) document.erase(key);
  return out;
}

// Splits the assignments of the command line into those of fields and those of the sweep.
std::vector<std::string> take_sweep_settings(const std::vector<std::string>& all, Json& sweep) {
  std::vector<std::string> rest;
  for (const auto& setting : all) {
    if (setting.rfind("sweep.", 0) != 0) {
      rest.push_back(setting);
      continue;
    }
    const size_t equal = setting.find('=');
    if (equal == std::string::npos) throw base::config_error("--set " + setting + ": no '='");
    const std::string field = setting.substr(6, equal - 6);
    const auto values = Json::parse(setting.substr(equal + 1), nullptr, false);
    if (values.is_discarded()) {
      throw base::config_error("--set " + setting +
                               ": the value is not JSON; write sweep.FIELD=[1,2]");
    }
    sweep[field] = values;
  }
  return rest;
}

// " (did you mean "dcm"?)", or nothing.
std::string suggestion(const std::string& method, const std::vector<std::string>& methods) {
  const auto near = base::nearest(method, methods);
  return near.empty() ? "" : " (did you mean \"" + near + "\"?)";
}

base::Fields all_fields(Combination& combination) {
  base::Fields fields;
  fields.group("run", combination.run);
  fields.group(combination.experiment->name(), *combination.experiment);
  return fields;
}

struct Source {
  Json document;  // without head
  std::string place;
  std::string text;
  std::vector<std::string> settings;
};

// One placement serves all combinations of a run: to sweep it would change nothing.
void refuse_swept_placement(const base::Fields& fields, const Json& sweep, const Source& source,
                            ConfigErrors& errors) {
  for (const auto& [path, values] : sweep.items()) {
    const auto* field = fields.find(path);
    const auto line = base::line_of_key(source.text, path);  // 0: set by --set
    if (field && field->info.role == base::FieldRole::placement)
      errors.push_back(str(source.place, line > 0 ? str(":", line) : "", ": \"sweep\": \"", path,
                           "\" decides only where and how the run is computed and has one "
                           "value for all combinations; set it beside the sweep"));
  }
}

Combination make_combination(const Source& source, const Json& sweep,
                             std::unique_ptr<Experiment> experiment, ConfigErrors& errors) {
  Combination out{.sweep = sweep, .experiment = std::move(experiment)};
  auto fields = all_fields(out);
  auto found = base::read_fields(fields, source.document, source.place, source.text);
  const auto apply = [&](const std::string& setting) {
    const auto more = base::set_field(fields, setting);
    found.insert(found.end(), more.begin(), more.end());
  };
  for (const auto& setting : source.settings) apply(setting);
  for (const auto& [field, value] : sweep.items()) apply(field + "=" + value.dump());
  for (const auto& error : found) {
    if (std::find(errors.begin(), errors.end(), error) == errors.end()) errors.push_back(error);
  }
  out.config = base::to_json(fields);
  return out;
}

void require_identity_files(const Job& job) {
  std::set<std::string> missing;
  for (const auto& combination : job.combinations) {
    for (const auto& file : combination.experiment->identity_files()) {
      if (!std::filesystem::exists(file)) missing.insert(file + ": no such file; the job names it");
    }
  }
  base::throw_if_any({missing.begin(), missing.end()});
}

void erase_path(Json& tree, const std::string& path) {
  Json* at = &tree;
  size_t begin = 0;
  for (size_t dot; (dot = path.find('.', begin)) != std::string::npos; begin = dot + 1) {
    const auto found = at->find(path.substr(begin, dot - begin));
    if (found == at->end()) return;
    at = &*found;
  }
  at->erase(path.substr(begin));
}

}  // namespace

Job parse_job(const std::string& text, const JobRequest& request, const ExperimentFactory& factory,
              bool check) {
  Source source{.place = request.job.string(), .text = text};
  source.document = parse_document(text, source.place);
  Head head = take_head(source.document, source.place, text);
  source.settings = take_sweep_settings(request.set, head.sweep);
  Job job{.method = head.method, .sweep = head.sweep};
  ConfigErrors errors;
  for (const auto& sweep : expand_sweep(head.sweep, source.place)) {
    auto experiment = factory(head.method);
    if (!experiment) {
      throw base::config_error(str(
          source.place, ":", base::line_of_key(text, "method"), ": unknown method \"", head.method,
          "\"", suggestion(head.method, request.methods), "; see `preimage methods`"));
    }
    job.combinations.push_back(make_combination(source, sweep, std::move(experiment), errors));
  }
  base::throw_if_any(errors);
  if (check) {
    for (auto& combination : job.combinations) {
      for (const auto& error : combination.experiment->check()) {
        if (std::find(errors.begin(), errors.end(), error) == errors.end()) errors.push_back(error);
      }
    }
    base::throw_if_any(errors);
    require_identity_files(job);
  }
  refuse_swept_placement(all_fields(job.combinations.front()), head.sweep, source, errors);
  base::throw_if_any(errors);
  job.identity = base::identity_json(all_fields(job.combinations.front()));
  for (const auto& [field, values] : head.sweep.items()) erase_path(job.identity, field);
  return job;
}

Job load_job(const JobRequest& request, const ExperimentFactory& factory) {
  base::require_named_file(request.job);
  return parse_job(base::read_file(request.job, kJobLimits.max_bytes), request, factory, true);
}

}  // namespace preimage::run
