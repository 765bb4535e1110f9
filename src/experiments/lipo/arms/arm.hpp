// A way to search behind Hyperband. Every arm starts from the same evaluations and may ask the
// model as often; a round is one proposal of an arm, a unit of work, and then the evaluation of
// what it asked for. What an arm remembers is its history alone: any rank can make any round.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "../config.hpp"
#include "../inverter.hpp"
#include "../task/instructions.hpp"
#include "../vae.hpp"
#include "preimage/base/random.hpp"
#include "preimage/bo/gaussian_process.hpp"
#include "preimage/bo/hyperband.hpp"

namespace preimage::lipo {

// An instruction that was evaluated on the first `items` validation items.
struct Observation {
  std::string text;
  at::Tensor embedding;  // [embedding_dim] float32, unit length
  at::Tensor latent;     // [latent_dim] float64: mu of it, or what `gp_input` says
  int64_t wrong = 0;
  int64_t items = 0;
  double predicted = -1;  // >= 0: no evaluation but a prediction (evaluate_proposals is false)
  double error() const {
    return predicted >= 0 ? predicted : static_cast<double>(wrong) / static_cast<double>(items);
  }
};

// What all arms start from; the same on every rank.
struct ArmGround {
  const LipoConfig& config;
  const TextInverter& inverter;
  const Vae& vae;
  std::vector<Instruction> instructions;  // the pool
  at::Tensor embeddings;                  // [pool, embedding_dim] float32
  at::Tensor latents;                     // [pool, latent_dim] float64
  // What a model is fitted to first: Hyperband's observations of model_observations(), by their
  // place in the pool, or all that the mode loaded.
  std::vector<bo::ErrorCount> start;
  bo::ErrorCounts counts;  // everything that Hyperband evaluated
  int64_t items = 0;       // validation items: full fidelity
  double best = 1;         // lowest error at full fidelity so far (of the start where none is)
  std::string best_text;
};

// One proposal, as its unit commits it: a row of lipo/iterations and what the next rounds need.
struct ArmStep {
  struct Asked {
    std::string text;
    int64_t items = 0;  // the first so many are wanted
  };
  std::vector<Asked> asked;  // none: the arm has nothing more to ask
  // Of the first asked: what the process of the arm is given for it, and tensors that the next
  // round starts from; undefined where an arm has none.
  at::Tensor latent;                 // [latent_dim] float64
  at::Tensor embedding;              // [embedding_dim] float32, of the text
  at::Tensor parameters;             // of the fitted process [P] float64
  std::optional<bo::GpModel> model;  // the process itself, for lipo/gp; not read back
  // Columns of lipo/iterations; NaN or -1 where an arm has no such thing.
  struct Numbers {
    double predicted_mean, predicted_std;  // of the error
    double acquisition;                    // log EI at the proposal
    double gap_align, gap_code, gap_plan;  // 1 - cosine, of the last round of inversion
    double cosine;                         // of decode(z_opt) and the text's embedding
    double nearest;                        // distance to the nearest observation, normalised
    int64_t active_bounds, inversion_rounds, redraws, observations;
    double gp_loss, gp_noise, gp_outputscale;
  } numbers;
  at::Tensor proposal;                             // z_opt [latent_dim] float64
  std::vector<double> start_values, final_values;  // of the acquisition's starts
  std::string first_text;  // of the proposal before the loop of inversion; "": the same
};
ArmStep::Numbers no_numbers();

// What an arm did so far, oldest first.
struct ArmHistory {
  int64_t round = 0;                      // of this proposal, from 0
  std::vector<Observation> observations;  // of its own rounds
  at::Tensor parameters;                  // ArmStep::parameters of the round before
  int64_t calls = 0;                      // of its own rounds
  int64_t calls_allowed = 0;
  double best = 1;  // lowest error at full fidelity, those of the start too
};

class Arm {
 public:
  virtual ~Arm() = default;
  // A pure function of its arguments. `random` is of this (arm, seed, round).
  virtual ArmStep propose(const ArmGround& ground, const ArmHistory& history,
                          const base::RandomStream& random) const = 0;
};

// latent         log EI in the latent space, decoded and brought back to words
// random_latent  the same with a uniform point of the box for the proposal: the null
// plan_sign      the same with the process fitted to errors and maximised, as the plan writes it
// raw_embedding  log EI in the space of the embeddings, no autoencoder
// cowboys        a process over texts, the autoencoder their prior alone (arXiv 2507.03910)
// capo           evolution with races and a penalty on length (after arXiv 2504.16005)
// hyperband      the pool's next by expected improvement, on all items: no latent search at all
const std::vector<std::string>& arm_names();
std::unique_ptr<Arm> make_arm(const std::string& name);

}  // namespace preimage::lipo
