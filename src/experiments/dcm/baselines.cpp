#include "baselines.hpp"

#include <cmath>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/score.hpp"

namespace preimage::dcm {
namespace {

std::string filled(std::string text, const std::string& placeholder, const std::string& value) {
  for (size_t at = text.find(placeholder); at != std::string::npos;
       at = text.find(placeholder, at + value.size())) {
    text.replace(at, placeholder.size(), value);
  }
  return text;
}

// One forward pass to be made, and where its result goes.
struct Draw {
  size_t pair;
  BaselineRow row;
};

struct Collector {
  const BaselineInputs& in;
  std::vector<lm::ScoreRequest> requests;
  std::vector<Draw> draws;

  void add(size_t slot, const Pair& pair, bool question, BaselineRow row,
           lm::ScoreRequest request) {
    const auto& ids = question ? pair.question_ids : pair.answer_ids;
    request.continuation = ids;
    row.pair_index = pair.index, row.pair_id = pair.id;
    row.target = question ? "question" : "answer";
    row.n = static_cast<int64_t>(ids.size());
    requests.push_back(std::move(request));
    draws.push_back({slot, std::move(row)});
  }

  // [mode ; c] with c drawn as the optimiser's starts are.
  void random(size_t slot, const Pair& pair, bool question, int64_t k) {
    for (int64_t draw = 0; draw < in.config.baseline_draws; ++draw) {
      // Draws count from -1 downwards: no restart shares a stream with a baseline.
      const auto c = start_vectors({in.config.init, in.config.init_sigma, in.seed}, pair, k,
                                   -1 - draw, in.statistics, in.vocabulary);
      const int64_t mode = question ? in.vocabulary.mode_question : in.vocabulary.mode_answer;
      add(slot, pair, question, {.kind = "random", .k = k, .draw = draw},
          {.embeddings = at::cat({in.statistics.table[mode].unsqueeze(0), c})});
    }
  }

  void single(size_t slot, const Pair& pair, bool question) {
    const base::RandomStream stream(in.seed, base::str("pair ", pair.id),
                                    question ? "single question" : "single answer");
    for (int64_t draw = 0; draw < in.config.baseline_draws; ++draw) {
      const int64_t id =
          in.vocabulary
              .plain_ids[stream.below(in.vocabulary.plain_ids.size(), static_cast<uint64_t>(draw))];
      add(slot, pair, question,
          {.kind = "single", .draw = draw, .prompt = in.tokenizer.decode({id})}, {.prompt = {id}});
    }
  }

  void text(size_t slot, const Pair& pair, bool question, const char* kind,
            const std::string& prompt) {
    auto ids = in.tokenizer.encode(prompt, {.parse_special = false});
    const auto longest = in.model.config().max_position_embeddings;
    const auto n = static_cast<int64_t>((question ? pair.question_ids : pair.answer_ids).size());
    if (ids.empty() || static_cast<int64_t>(ids.size()) + n > longest)
      return;  // the column stays NaN
    add(slot, pair, question, {.kind = kind, .prompt = prompt}, {.prompt = std::move(ids)});
  }

  void pair(size_t slot, const Pair& pair) {
    const auto& t = in.config.templates;
    for (const bool question : {true, false})
      random(slot, pair, question, in.config.k), single(slot, pair, question);
    text(slot, pair, true, "full", filled(t.question_from_answer, "{answer}", pair.answer));
    text(slot, pair, false, "full", filled(t.answer_from_question, "{question}", pair.question));
    if (in.vocabulary.bos >= 0)
      add(slot, pair, true, {.kind = "full_bos", .prompt = "BOS"}, {.prompt = {in.vocabulary.bos}});
    if (!pair.context.empty()) {
      text(slot, pair, false, "full_passage",
           filled(filled(t.answer_from_passage, "{passage}", pair.context), "{question}",
                  pair.question));
    }
    for (const int64_t k : judged_k(in.config, pair.index)) {
      if (k == in.config.k) continue;
      for (const bool question : {true, false}) random(slot, pair, question, k);
    }
  }
};

struct Mean {
  double sum = 0, count = 0;
  double value() const { return count > 0 ? sum / count : none; }
};

std::string mean_key(const std::string& kind, int64_t k, const std::string& target) {
  return base::str(kind, "/", k, "/", target);
}

}  // namespace

base::Json to_json(const Baselines& b) {
  base::Json out;
  const auto number = [](double value) {
    return std::isfinite(value) ? base::Json(value) : base::Json();
  };
  const auto put = [&](const char* key, double value) { out[key] = number(value); };
  put("full_q", b.full_q), put("full_q_bos", b.full_q_bos), put("full_a", b.full_a),
      put("full_a_passage", b.full_a_passage), put("single_q", b.single_q),
      put("single_a", b.single_a);
  auto& random = out["random"] = base::Json::object();
  for (const auto& [k, loss] : b.random)
    random[std::to_string(k)] = {number(loss.q), number(loss.a)};
  return out;
}

Baselines baselines_from_json(const base::Json& json) {
  const auto number = [](const base::Json& value) {
    return value.is_null() ? none : value.get<double>();
  };
  const auto get = [&](const char* key) {
    base::check(json.contains(key),
                std::string("a committed unit of baselines has the key ") + key);
    return number(json.at(key));
  };
  Baselines out{{},
                get("full_q"),
                get("full_q_bos"),
                get("full_a"),
                get("full_a_passage"),
                get("single_q"),
                get("single_a")};
  base::check(json.contains("random"), "a committed unit of baselines has the key random");
  for (const auto& [k, loss] : json.at("random").items())
    out.random[std::stoll(k)] = {number(loss.at(0)), number(loss.at(1))};
  return out;
}

std::vector<int64_t> judged_k(const DcmConfig& config, int64_t pair_index) {
  std::vector<int64_t> out = {config.k};
  const bool swept = config.has_stage("ksweep") &&
                     (config.k_sweep_pairs == 0 || pair_index < config.k_sweep_pairs);
  for (const int64_t k : config.k_sweep) {
    if (swept && k != config.k) out.push_back(k);
  }
  return out;
}

std::vector<PairBaselines> measure_baselines(const BaselineInputs& inputs,
                                             const std::vector<const Pair*>& pairs) {
  Collector collector{inputs, {}, {}};
  for (size_t i = 0; i < pairs.size(); ++i) collector.pair(i, *pairs[i]);
  const auto scores =
      lm::score(inputs.model, collector.requests, {.batch_tokens = inputs.config.batch_tokens});

  std::vector<PairBaselines> out(pairs.size());
  std::vector<std::map<std::string, Mean>> means(pairs.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    auto& draw = collector.draws[i];
    double nats = 0;
    for (const float logprob : scores[i].logprobs) nats -= logprob;
    const auto n = static_cast<double>(draw.row.n);
    draw.row.loss = nats / n;
    const bool eos = inputs.vocabulary.eos >= 0;
    draw.row.loss_without_eos = !eos    ? draw.row.loss
                                : n > 1 ? (nats + scores[i].logprobs.back()) / (n - 1)
                                        : none;
    auto& mean = means[draw.pair][mean_key(draw.row.kind, draw.row.k, draw.row.target)];
    mean.sum += draw.row.loss, mean.count += 1;
    out[draw.pair].rows.push_back(std::move(draw.row));
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto mean = [&](const char* kind, int64_t k, const char* target) {
      return means[i][mean_key(kind, k, target)].value();
    };
    auto& b = out[i].means;
    for (const int64_t k : judged_k(inputs.config, pairs[i]->index))
      b.random[k] = {mean("random", k, "question"), mean("random", k, "answer")};
    b.full_q = mean("full", 0, "question"), b.full_q_bos = mean("full_bos", 0, "question");
    b.full_a = mean("full", 0, "answer"), b.full_a_passage = mean("full_passage", 0, "answer");
    b.single_q = mean("single", 0, "question"), b.single_a = mean("single", 0, "answer");
  }
  return out;
}

}  // namespace preimage::dcm
