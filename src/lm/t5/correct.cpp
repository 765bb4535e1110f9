#include "preimage/lm/t5/correct.hpp"

#include <algorithm>
#include <set>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/encoder/sentence_pipeline.hpp"

namespace preimage::lm {
namespace {

struct Attempt {
  Corrected result;
  std::vector<int64_t> generated;  // from the start token to the end token, where it came to one
  at::Tensor embedding;            // [d] float32
};

class CorrectionLoop {
 public:
  CorrectionLoop(const Inverter& inverter, const std::vector<CorrectionRequest>& requests,
                 const SearchOptions& options)
      : inverter_(inverter), requests_(requests), options_(options), kept_(requests.size()) {}

  std::vector<Corrected> run() {
    guess();
    int64_t most = 0;
    for (const auto& request : requests_) most = std::max(most, request.steps);
    for (int64_t step = 0; step < most; ++step) correct(step);
    std::vector<Corrected> out;
    for (auto& candidates : kept_) out.push_back(std::move(candidates.front().result));
    return out;
  }

 private:
  // The inversion model's greedy text, as long as the corrector was trained for.
  void guess() {
    std::vector<BeamRequest> searches;
    for (const auto& request : requests_) {
      searches.push_back({.prompt = {{}, inverter_.inversion.inversion_inputs(request.embedding)},
                          .max_new_tokens = inverter_.corrector.config().max_tokens - 1,
                          .beams = 1,
                          .stop_ids = inverter_.inversion.config().t5.eos_ids});
    }
    const auto found = search(inverter_.inversion.t5(), searches);
    for (size_t i = 0; i < found.size(); ++i) kept_[i] = candidates(found[i]);
    embed();
  }

  void correct(int64_t step) {
    std::vector<BeamRequest> searches;
    std::vector<size_t> owners;
    for (size_t i = 0; i < requests_.size(); ++i) {
      const auto& request = requests_[i];
      if (step >= request.steps) continue;
      for (const auto& candidate : kept_[i]) {
        auto& one = searches.emplace_back(request.search);
        one.prompt = {{},
                      inverter_.corrector.corrector_inputs(request.embedding, candidate.embedding,
                                                           candidate.generated)};
        one.beams = one.returned = width(request);
        one.stop_ids = inverter_.corrector.config().t5.eos_ids;
        owners.push_back(i);
      }
    }
    const auto found = search(inverter_.corrector.t5(), searches);
    for (const size_t i : owners) kept_[i].clear();
    for (size_t s = 0; s < found.size(); ++s) {
      for (auto& candidate : candidates(found[s])) kept_[owners[s]].push_back(std::move(candidate));
    }
    embed();
    for (const size_t i : std::set<size_t>(owners.begin(), owners.end()))
      keep_best(kept_[i], step + 1 == requests_[i].steps ? 1 : width(requests_[i]));
  }

  static int64_t width(const CorrectionRequest& request) {
    return std::max<int64_t>(1, request.sequence_beams);
  }

  std::vector<std::vector<Hypothesis>> search(const T5Model& model,
                                              const std::vector<BeamRequest>& searches) const {
    const auto batch = make_sequence_batch(model);
    return beam_search(*batch, searches, options_);
  }

  std::vector<Attempt> candidates(const std::vector<Hypothesis>& found) const {
    const auto& t5 = inverter_.corrector.config().t5;
    std::vector<Attempt> out;
    for (const auto& one : found) {
      Attempt candidate{{one, inverter_.tokenizer.decode(one.ids, {.skip_special = true})}, {}, {}};
      candidate.generated = {t5.start_id};
      candidate.generated.insert(candidate.generated.end(), one.ids.begin(), one.ids.end());
      if (one.finish_reason == "eos") candidate.generated.push_back(t5.separator_id);
      out.push_back(std::move(candidate));
    }
    return out;
  }

  // The tokens of a text as the embedder reads it: cut before its end token.
  std::vector<int64_t> tokens(const std::string& text) const {
    auto ids = inverter_.tokenizer.encode(text, {.add_special = true});
    const auto limit = static_cast<size_t>(inverter_.corrector.config().max_tokens);
    if (ids.size() > limit) ids.erase(ids.begin() + static_cast<int64_t>(limit) - 1, ids.end() - 1);
    return ids;
  }

  // Embeddings and cosines of the candidates that have none yet.
  void embed() {
    std::vector<int64_t> ids, lengths;
    std::vector<std::pair<size_t, Attempt*>> fresh;
    for (size_t i = 0; i < kept_.size(); ++i) {
      for (auto& candidate : kept_[i]) {
        if (candidate.embedding.defined()) continue;
        const auto own = tokens(candidate.result.text);
        ids.insert(ids.end(), own.begin(), own.end());
        lengths.push_back(static_cast<int64_t>(own.size()));
        fresh.emplace_back(i, &candidate);
      }
    }
    if (fresh.empty()) return;
    const auto& embedder = inverter_.embedder;
    const auto packing = nn::make_packing(lengths, embedder.device());
    const auto states =
        embedder.hidden(embedder.embed(at::tensor(ids, at::kLong).to(embedder.device())), packing);
    const auto vectors = pool(states, packing, PoolingMode::mean).cpu();
    for (size_t f = 0; f < fresh.size(); ++f) {
      auto& candidate = *fresh[f].second;
      candidate.embedding = vectors[static_cast<int64_t>(f)];
      candidate.result.cosine =
          at::cosine_similarity(candidate.embedding, requests_[fresh[f].first].embedding, 0)
              .item<float>();
    }
  }

  // The nearest, none of them twice.
  static void keep_best(std::vector<Attempt>& candidates, int64_t count) {
    std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
      return a.result.cosine > b.result.cosine;
    });
    std::vector<Attempt> best;
    std::set<std::vector<int64_t>> seen;
    for (auto& candidate : candidates) {
      if (static_cast<int64_t>(best.size()) == count) break;
      if (seen.insert(candidate.generated).second) best.push_back(std::move(candidate));
    }
    candidates = std::move(best);
  }

  const Inverter& inverter_;
  const std::vector<CorrectionRequest>& requests_;
  const SearchOptions& options_;
  std::vector<std::vector<Attempt>> kept_;  // of each request
};

void require_requests(const Inverter& inverter, const std::vector<CorrectionRequest>& requests) {
  const auto& corrector = inverter.corrector.config();
  base::check(corrector.corrector && !inverter.inversion.config().corrector,
              "an inversion model guesses and a corrector corrects");
  const int64_t width = corrector.embedding_size;
  if (inverter.inversion.config().embedding_size != width ||
      inverter.embedder.config().hidden_size != width) {
    throw base::data_error(base::str(
        "the inversion model reads embeddings of ", inverter.inversion.config().embedding_size,
        ", the corrector of ", width, ", the embedder makes ",
        inverter.embedder.config().hidden_size, "; they belong to different models"));
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& embedding = requests[i].embedding;
    if (embedding.dim() != 1 || embedding.size(0) != width)
      throw base::data_error(
          base::str("request ", i, ": expected an embedding of ", width, " numbers"));
  }
}

}  // namespace

std::vector<Corrected> correct(const Inverter& inverter,
                               const std::vector<CorrectionRequest>& requests,
                               const SearchOptions& options) {
  require_requests(inverter, requests);
  if (requests.empty()) return {};
  const at::NoGradGuard no_grad;
  return CorrectionLoop(inverter, requests, options).run();
}

}  // namespace preimage::lm
