// Which keys of a configuration file somebody asked for. What is left over was read by nobody: it
// is said in one line, so that no setting is passed over in silence.
#pragma once

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/json.hpp"

namespace preimage::lm {

class KeyLedger {
 public:
  void asked(const std::string& key) const { asked_.insert(key); }
  // Keys that are there and change nothing that is computed here, whatever they hold.
  template <class Keys>
  void without_effect(const Keys& keys) const {
    for (const auto& key : keys) asked_.emplace(key);
  }
  void without_effect(std::initializer_list<std::string_view> keys) const {
    for (const auto& key : keys) asked_.emplace(key);
  }
  // The keys of `object` that nobody asked for, sorted.
  std::vector<std::string> left_over(const base::Json& object) const;
  // "PLACE: not known here and not read: a, b"; "" where nothing is left over.
  std::string note(const base::Json& object, const std::string& place) const;

 private:
  mutable std::set<std::string> asked_;
};

// Keys that any config.json may hold and that change no result of a frozen model: the book-keeping
// of transformers' PreTrainedConfig, settings of training, of generation (which transformers takes
// from generation_config.json alone), and marks of tools that save checkpoints.
const std::vector<std::string_view>& idle_config_keys();

}  // namespace preimage::lm
