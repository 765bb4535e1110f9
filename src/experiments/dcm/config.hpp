// Everything a dcm job says, with the plan's settings as defaults.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/base/config.hpp"
#include "preimage/optim/schedule.hpp"
#include "report/conflict.hpp"
#include "report/convergence.hpp"
#include "report/gates.hpp"

namespace preimage::dcm {

struct ModelConfig {
  std::string dir;
  std::string dtype = "float32";
  std::string weights = "decoded";
  std::string adapter;
  void fields(base::Fields& f);
};

struct DataConfig {
  std::string kind = "squad";
  std::string path;
  int64_t count = 100;
  int64_t seed = 42;
  bool one_per_group = true;
  int64_t max_question_tokens = 0;
  int64_t max_answer_tokens = 0;
  void fields(base::Fields& f);
};

struct AdamConfig {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  void fields(base::Fields& f);
};

// The plain texts around the tokens of the full-context baselines; kept with the results.
struct TemplateConfig {
  std::string answer_from_question;
  std::string question_from_answer;
  std::string answer_from_passage;
  void fields(base::Fields& f);
};

struct DcmConfig {
  ModelConfig model;
  DataConfig data;

  std::vector<std::string> stages = {"single", "joint", "spot"};
  int64_t k = 32;
  std::string mode_question = "Q";
  std::string mode_answer = "A";
  bool append_eos = true;
  std::string init = "gauss";
  double init_sigma = 0.02;
  int64_t restarts = 5;
  std::string restart_policy = "failures";
  bool keep_restart_embeddings = false;
  std::string stop = "none";
  std::string objective = "plain";
  double manifold_lambda = 0;
  optim::ScheduleOptions schedule;
  AdamConfig adam;
  double clip = 1.0;
  int64_t baseline_draws = 10;
  TemplateConfig templates;
  ConvergenceOptions convergence;
  int64_t conflict_window = 10;
  GateOptions gates;
  std::vector<int64_t> k_sweep = {4, 8, 16, 32, 64, 128};
  int64_t k_sweep_pairs = 0;
  int64_t k_sweep_reference = 32;
  double k_sweep_margin = 0.05;
  std::string paraphrases;
  double paraphrase_weight = 0.5;
  int64_t decode_extra_tokens = 16;
  std::string text_encoder;
  int64_t curve_every = 1;
  int64_t batch_tokens = 8192;
  int64_t compact_every = 25;

  // The group "dcm" of a job, with its groups "model", "data", "schedule", "adam", "gates", ...
  void fields(base::Fields& f);
  // Rules between fields, all errors at once; opens no file.
  base::ConfigErrors check() const;
  // The folders and files named exist and are of the right kind; opens none.
  base::ConfigErrors check_files() const;

  bool has_stage(const std::string& stage) const;
  ConflictOptions conflict() const;
  // What a reader of the results should know of this config: "cosine clause of the grade is off:
  // ...".
  std::vector<std::string> notes() const;

 private:
  void method_fields(base::Fields& f);
  void optimiser_fields(base::Fields& f);
  void report_fields(base::Fields& f);
  base::ConfigErrors check_stages() const;
};

}  // namespace preimage::dcm
