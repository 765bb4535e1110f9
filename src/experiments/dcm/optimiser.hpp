// Many soft-prompt problems in one batch. Problem p looks for c [K, d] such that the frozen model,
// given [mode ; c ; target], predicts the target, for one target or for two that share c. Each
// problem has its own clip, schedule and stop; its trajectory has the same bits whatever else is in
// the batch.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/model.hpp"
#include "preimage/optim/adam.hpp"
#include "preimage/optim/schedule.hpp"
#include "report/conflict.hpp"

namespace preimage::dcm {

inline constexpr int kQuestion = 0, kAnswer = 1;

// What a step keeps for each position until its backward pass, the weights being frozen: of each
// layer two norms' inputs, queries, keys and values before and after their rotation, the
// attention's output, gate, up and their product.
double bytes_per_position(const lm::ModelConfig& model, at::ScalarType dtype);

// One text to be predicted behind (mode, c), and its share of the side's loss.
struct Target {
  std::vector<int64_t> ids;  // EOS included where it is appended
  double weight = 1;         // of the mean over its tokens
};

// One mode vector with its target first, and perhaps paraphrases behind it.
struct Side {
  int mode = kQuestion;
  std::vector<Target> targets;
};

struct SoftPromptProblem {
  int64_t tag = 0;          // the caller's name for it
  at::Tensor initial;       // [K, d] float32
  std::vector<Side> sides;  // one or two
  // Called with the state at each evaluated c; true ends the problem at this c.
  std::function<bool(const struct Evaluation&)> stop;
};

// The original target of one side at one c.
struct SideEvaluation {
  double loss = 0;         // nats a token, EOS included
  double max_nll = 0;      // of the worst token
  bool greedy = false;     // every token is the argmax: greedy decoding gives the target
  std::vector<float> nll;  // of each token
};
struct Evaluation {
  int64_t step = 0;
  std::vector<SideEvaluation> sides;
  double total() const;  // sum of the sides' losses
};

// What a problem leaves. Curves have one entry for each evaluated c: c_0 .. c_steps.
struct Trajectory {
  int64_t tag = 0;
  at::Tensor best;        // [K, d] float32, CPU
  Evaluation at_best;     // smallest total loss, or where `stop` said so
  int64_t steps = 0;      // updates made
  bool stopped = false;   // by `stop`
  bool diverged = false;  // a loss was not finite: the rest of the steps was not run
  std::array<std::vector<double>, 2> loss;  // by side
  std::vector<double> manifold;  // mean squared distance to the nearest token over rms(E)^2;
                                 // empty where manifold_lambda is 0
  std::vector<double> learning_rate;
  std::vector<GradientProducts> products;  // per update; empty with one side
  double seconds = 0;                      // measured: its share of the batch's time
};

struct OptimiserOptions {
  optim::ScheduleOptions schedule;
  optim::AdamOptions adam;
  bool projected = false;  // free each side's gradient of its conflict with the other's
  double manifold_lambda = 0;
};

class Optimiser {
 public:
  // modes [2, d]: the embeddings of the question's and the answer's mode token.
  Optimiser(std::shared_ptr<const lm::Model> model, at::Tensor modes, OptimiserOptions options);
  ~Optimiser();

  void add(SoftPromptProblem problem);
  // Takes the problem of that tag out, whatever it has reached.
  void drop(int64_t tag);
  bool empty() const;
  int64_t tokens() const;  // positions of one pass over all problems
  // Positions that `problem` would add.
  static int64_t tokens_of(const SoftPromptProblem& problem);
  // Up to `steps` steps of all problems; returns those that ended, in the order in which they were
  // added.
  std::vector<Trajectory> run(int64_t steps);
  double pair_steps() const { return pair_steps_; }  // problem-steps done, for the benchmarks

 private:
  struct Active;
  struct Layout;
  void lay_out();
  void evaluate_and_update();
  at::Tensor gradients(const at::Tensor& d_inputs, int side) const;
  void record(const at::Tensor& nll, const at::Tensor& greedy);
  void update(const at::Tensor& g_question, const at::Tensor& g_answer);
  at::Tensor manifold_gradient();
  std::vector<Trajectory> remove_done();

  std::shared_ptr<const lm::Model> model_;
  at::Tensor modes_;
  OptimiserOptions options_;
  double mean_square_;  // of the embedding table: rms(E)^2
  std::vector<std::unique_ptr<Active>> active_;
  std::unique_ptr<Layout> layout_;
  optim::AdamProblems state_;
  double pair_steps_ = 0;
};

// Nearest rows of the embedding table by Euclidean distance.
struct Nearest {
  at::Tensor ids;        // [rows] int64
  at::Tensor distance2;  // [rows] float32
};
Nearest nearest_tokens(const lm::Model& model, const at::Tensor& rows);

}  // namespace preimage::dcm
