// The group "finetune" of a job.
#pragma once

#include <string>
#include <vector>

#include "preimage/base/config.hpp"
#include "preimage/lm/adapter/live_adapter.hpp"
#include "preimage/lm/train/sentence.hpp"
#include "preimage/lm/train/train.hpp"

namespace preimage::finetune {

struct FinetuneConfig {
  std::string kind = "decoder";  // or encoder, inverter: settings of `sentence`, from scratch
  std::string model;  // folder with config.json and tokenizer.json, and weights unless from scratch
  bool from_scratch = false;
  std::string text;  // JSON lines of {"text"} or {"prompt", "completion"}
  std::string validation;
  std::string save_dtype = "bfloat16";
  std::string trains = "weights";  // all of them, or "lora": an adapter beside frozen ones
  lm::AdapterOptions lora;
  lm::TrainOptions train;
  std::string embedder;  // of an inverter: the sentence encoder whose embeddings it reads
  lm::SentenceTrainOptions sentence;
  bool trains_adapter() const { return trains == "lora"; }
  void fields(base::Fields& f);
};

}  // namespace preimage::finetune
