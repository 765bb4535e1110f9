// Everything a lipo job says, under the plan's names, with its settings as defaults.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arms/capo.hpp"
#include "arms/cowboys.hpp"
#include "inverter.hpp"
#include "preimage/base/config.hpp"
#include "preimage/bo/acquisition.hpp"
#include "preimage/bo/gaussian_process.hpp"
#include "preimage/bo/hyperband.hpp"
#include "task/ape.hpp"
#include "task/items.hpp"
#include "vae.hpp"

namespace preimage::lipo {

// The model that follows instructions.
struct TargetConfig {
  std::string model;    // checkpoint folder
  std::string adapter;  // folder of a LoRA adapter to be merged; "": none
  std::string dtype = "float32";
  bool chat = false;  // the prompt is a user's message in the checkpoint's chat template
  std::string prompt = "Q: {question}\n{instruction}\nA:";
  int64_t max_new_tokens = 512;
  std::string extraction = "whole";  // or recorded
  int64_t block = 64;                // most items of a unit of work
  int64_t batch = 64;                // answers written at once
  void fields(base::Fields& f);
};

// A latent proposal and its way to words.
struct InversionConfig {
  bool use_inversion = true;
  int64_t max_iterations = 3;
  double gap_threshold = 0.1;
  std::string gate = "align";  // which gap is compared with the threshold: align | code | plan
  int64_t steps = 100;         // of Adam
  double lr = 0.1;
  double convergence_threshold = 0.01;
  // What the process is given for a text: mu (of the text's embedding) or z_inv.
  std::string gp_input = "mu";
  double accept_cosine = 0;  // between decode(z_opt) and the text's embedding; 0: any
  bool refuse_known = true;  // a text that was evaluated on all items already
  int64_t redraws = 10;
  int64_t known_redraws = 100;  // further ones, as long as every text was known
  void fields(base::Fields& f);
};

struct LipoConfig {
  std::string mode = "standard";
  TargetConfig target;
  ItemsConfig items;
  ApeConfig ape;
  InverterConfig inverter;
  VaeOptions vae;
  int64_t embedding_dim = 0;  // 0: the encoder's; another number is refused unless it is that
  bo::HyperbandOptions hyperband;
  bo::GpOptions gp;
  std::string gp_fidelities = "level";  // or all: what the arms' processes are fitted to first
  int64_t hyperband_gp_epochs = 3000, hyperband_gp_patience = 50;
  int64_t retrain_epochs = 500, retrain_patience = 10;
  double retrain_lr = 0.001;
  bo::AcquisitionOptions acquisition;
  InversionConfig inversion;
  int64_t iterations = 10;
  bool evaluate_proposals = true;  // false: the process is given its own predictions
  std::vector<std::string> arms = {"latent"};
  int64_t arm_seeds = 1;
  CowboysOptions cowboys;
  CapoOptions capo;
  std::string hyperband_evals_path;  // skip_hyperband
  std::string grid_path;             // grid
  int64_t top_k = 25;
  std::vector<std::string> baselines = {"Let's think step by step."};

  void fields(base::Fields& f);
  // Rules between fields, and that the files are there; all errors at once.
  base::ConfigErrors check() const;

  bool runs_hyperband() const { return mode != "skip_hyperband" && mode != "grid"; }
  bool searches() const { return mode != "hyperband_only"; }
  // What mode debug shortens: as many epochs at most, for the autoencoder and the process.
  static constexpr int64_t debug_epochs = 100;
  VaeOptions vae_options() const;
  bo::GpOptions gp_options() const;            // of the fit before the first proposal
  bo::GpOptions hyperband_gp_options() const;  // between the proposals of Hyperband
  bo::GpOptions retrain_options() const;       // behind each new observation
  const std::string& ape_model() const { return ape.model.empty() ? target.model : ape.model; }
};

}  // namespace preimage::lipo
