// Config structs name each field once; reading JSON, --set, --help, the JSON Schema, the HDF5
// attributes and the identity hash of a run all walk that one list.
//
//   struct AdamConfig {
//     double lr = 0.01;
//     void fields(base::Fields& f) {
//       f.add("lr", lr, {.help = "learning rate", .min = 0, .max = 10});
//     }
//   };
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "preimage/base/json.hpp"

namespace preimage::base {

// Identity fields decide what is computed: they are part of a run's hash. Placement fields
// (threads, batch size, walltime) only decide how; they may differ between a run and its resume.
enum class FieldRole { identity, placement };

struct FieldInfo {
  std::string help;
  std::string unit = "";
  double min = -std::numeric_limits<double>::infinity();  // numbers and elements of lists
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  // strings and elements of lists; empty: any
  FieldRole role = FieldRole::identity;
  bool required = false;
};

using FieldPointer = std::variant<bool*, int64_t*, double*, std::string*, std::vector<int64_t>*,
                                  std::vector<double>*, std::vector<std::string>*>;

struct Field {
  std::string path;  // "optim.lr"
  FieldPointer value;
  FieldInfo info;
  Json initial;  // the default
};

class Fields {
 public:
  template <class T>
  void add(const std::string& name, T& value, FieldInfo info) {
    append(name, &value, std::move(info));
  }
  // Nests the fields of a sub-struct under `name`; "" nests them at this level.
  template <class Group>
  void group(const std::string& name, Group& group) {
    const std::string outer = prefix_;
    if (!name.empty()) prefix_ += name + ".";
    group.fields(*this);
    prefix_ = outer;
  }
  const std::vector<Field>& all() const { return fields_; }
  const Field* find(const std::string& path) const;

 private:
  void append(const std::string& name, FieldPointer value, FieldInfo info);
  std::string prefix_;
  std::vector<Field> fields_;
};

template <class Config>
Fields fields_of(Config& config) {
  Fields fields;
  config.fields(fields);
  return fields;
}

// What is wrong with a config, every error at once, in the order of the document.
using ConfigErrors = std::vector<std::string>;

// Fills the fields from an object; nested objects are groups. Unknown keys name the nearest valid
// one. `text` is the source of `tree`, for line numbers; "" when there is none.
ConfigErrors read_fields(Fields& fields, const Json& tree, const std::string& place,
                         const std::string& text = "");

// Applies one "path=value" of the command line. The value is JSON; a bare word is a string.
ConfigErrors set_field(Fields& fields, const std::string& assignment);

Json value_of(const Field& field);
// The nested object of all values, or of those of one role.
Json to_json(const Fields& fields);
Json identity_json(const Fields& fields);
// JSON Schema (draft 2020-12) of the object.
Json schema_of(const Fields& fields);
// One line a field: path, default, unit, range, help.
std::string help_of(const Fields& fields);

// Throws one bad_config error with all lines, or returns when the list is empty.
void throw_if_any(const ConfigErrors& errors);

}  // namespace preimage::base
