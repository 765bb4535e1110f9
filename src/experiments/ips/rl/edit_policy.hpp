// A policy over edits of a prompt: what kind of edit, where, and with which token, one after the
// other; and the value of a prompt.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "../arms/draws.hpp"

namespace preimage::ips {

// A prompt as the policy sees it.
struct EditState {
  std::vector<int64_t> tokens;  // numbers in the policy's vocabulary, 0: another token
  int64_t most_tokens = 1;
  double progress = 0;  // t / H
  double best = 0;      // largest match so far
};

struct EditAction {
  enum Type : int64_t { add, remove, replace, stop };
  int64_t type = stop;
  int64_t position = 0;  // 0..|P| of add, 0..|P|-1 of remove and replace
  int64_t token = 0;     // number in the vocabulary, from 1; of add and replace
};

struct EditSample {
  EditAction action;
  double log_prob = 0, value = 0;
};

// log pi = log pi_type + log pi_position|type + log pi_token|type,position, and the entropy of the
// whole, H(type) + E H(position|type) + E H(token|type, position); all [states].
struct EditOutputs {
  at::Tensor log_probs, values, entropies;
};

class EditPolicy {
 public:
  // `vocabulary` tokens besides "another"; weights drawn from `draws`.
  EditPolicy(int64_t vocabulary, int64_t width, Draws& draws);

  // add is masked where the prompt is as long as it may be, remove and replace where it is empty.
  EditSample sample(const EditState& state, Draws& draws) const;
  double value(const EditState& state) const;
  // Differentiable in parameters().
  EditOutputs evaluate(const std::vector<EditState>& states,
                       const std::vector<EditAction>& actions) const;
  // One flat float32 leaf, changed in place by who trains it.
  at::Tensor& parameters() { return flat_; }

 private:
  struct Heads;  // of one state
  at::Tensor part(const char* name) const;
  Heads heads(const EditState& state) const;

  struct Place {
    std::string name;
    int64_t begin;
    std::vector<int64_t> shape;
  };
  int64_t vocabulary_, width_;
  std::vector<Place> places_;
  at::Tensor flat_;
};

}  // namespace preimage::ips
