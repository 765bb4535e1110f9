#include "pairs.hpp"

#include <algorithm>
#include <map>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/dataset.hpp"
#include "preimage/data/lines.hpp"

namespace preimage::dcm {
namespace {

using base::str;

int64_t one_token(const text::Tokenizer& tokenizer, const std::string& text, const char* field) {
  const auto ids = tokenizer.encode(text);
  if (ids.size() == 1) return ids[0];
  throw base::config_error(str("\"dcm.", field, "\": found ", base::Json(text).dump(),
                               ", which this tokenizer splits into ", ids.size(),
                               " tokens, expected a text of one token"));
}

std::vector<int64_t> target_ids(const text::Tokenizer& tokenizer, const std::string& text,
                                int64_t eos) {
  auto ids = tokenizer.encode(text, {.parse_special = false});
  if (eos >= 0) ids.push_back(eos);
  return ids;
}

// {"id", "questions": [...], "answers": [...]}, one object a line.
std::map<std::string, std::pair<std::vector<std::string>, std::vector<std::string>>>
read_paraphrases(const std::string& path) {
  std::map<std::string, std::pair<std::vector<std::string>, std::vector<std::string>>> out;
  const auto strings = [](const base::Json& record, const char* key, const std::string& place) {
    std::vector<std::string> list;
    if (!record.contains(key)) return list;
    if (!record[key].is_array())
      throw base::data_error(place + ": \"" + key + "\": expected a list of strings");
    for (const auto& text : record[key]) {
      if (!text.is_string())
        throw base::data_error(place + ": \"" + key + "\": expected a list of strings");
      list.push_back(text.get<std::string>());
    }
    return list;
  };
  data::LineReader lines(path);
  for (std::string line; lines.next(line);) {
    const auto place = lines.place();
    const auto record = base::parse_json(line, path, {}, lines.number());
    if (!record.is_object() || !record.contains("id") || !record["id"].is_string()) {
      throw base::data_error(place +
                             ": expected an object with \"id\", \"questions\", \"answers\"");
    }
    const auto id = record["id"].get<std::string>();
    auto questions = strings(record, "questions", place),
         answers = strings(record, "answers", place);
    if (questions.empty() && answers.empty()) {
      throw base::data_error(place +
                             ": found no paraphrase, expected some in \"questions\" or "
                             "\"answers\"");
    }
    if (!out.emplace(id, std::pair(std::move(questions), std::move(answers))).second)
      throw base::data_error(place + ": found the id " + id + " again, expected each once");
  }
  if (out.empty()) throw base::data_error(path + ": found no line, expected paraphrases");
  return out;
}

// The stage would run without any: a file of other pairs, or of other ids.
void require_paraphrases(const std::vector<Pair>& pairs, const std::string& path,
                         const std::string& some_id) {
  if (std::any_of(pairs.begin(), pairs.end(), [](const Pair& p) { return !p.paraphrases.empty(); }))
    return;
  throw base::data_error(str("\"dcm.paraphrases\": ", path, ": found the id ",
                             base::Json(some_id).dump(), " and others, none of them of the ",
                             pairs.size(), " pairs drawn (the first is ",
                             base::Json(pairs.front().id).dump(), "); expected ids of dcm.data"));
}

void require_context(const Pair& pair, int64_t k, const lm::ModelConfig& model) {
  const auto longest =
      static_cast<int64_t>(std::max(pair.question_ids.size(), pair.answer_ids.size()));
  if (k + longest <= model.max_position_embeddings) return;
  throw base::data_error(str("pair ", pair.id, ": mode, ", k, " vectors and ", longest,
                             " target tokens need ", k + longest,
                             " positions, the model's context has ", model.max_position_embeddings,
                             "; lower dcm.k or dcm.data.max_question_tokens"));
}

}  // namespace

Vocabulary make_vocabulary(const DcmConfig& config, const text::Tokenizer& tokenizer,
                           const lm::ModelConfig& model) {
  if (tokenizer.plain_id_limit() > model.vocab_size) {
    throw base::data_error(str(config.model.dir, ": the tokenizer has ids up to ",
                               tokenizer.plain_id_limit() - 1, ", the model's embedding has ",
                               model.vocab_size, " rows; they belong to different models"));
  }
  Vocabulary out;
  out.mode_question = one_token(tokenizer, config.mode_question, "mode_question");
  out.mode_answer = one_token(tokenizer, config.mode_answer, "mode_answer");
  out.stop_ids = tokenizer.special().stop.empty() ? model.eos_ids : tokenizer.special().stop;
  if (config.append_eos) {
    if (out.stop_ids.empty()) {
      throw base::config_error(
          "\"dcm.append_eos\": found true, but neither the tokenizer nor generation_config.json "
          "names an end token");
    }
    out.eos = tokenizer.special().eos.value_or(out.stop_ids.front());
    if (std::find(out.stop_ids.begin(), out.stop_ids.end(), out.eos) == out.stop_ids.end())
      out.stop_ids.push_back(out.eos);
  }
  out.bos = tokenizer.special().bos.value_or(model.bos_id);
  for (int64_t id = 0; id < tokenizer.plain_id_limit(); ++id) {
    if (tokenizer.id_to_token(id) && !tokenizer.is_special(id)) out.plain_ids.push_back(id);
  }
  return out;
}

std::vector<Pair> load_pairs(const DcmConfig& config, const text::Tokenizer& tokenizer,
                             const Vocabulary& vocabulary, const lm::ModelConfig& model) {
  const auto& d = config.data;
  const auto all = data::read_dataset({.kind = d.kind,
                                       .path = d.path,
                                       .generate_count = d.count,
                                       .generate_seed = static_cast<uint64_t>(d.seed)});
  const auto length = [&](const std::string& text) {
    return static_cast<int64_t>(tokenizer.encode(text).size());
  };
  std::vector<data::QaExample> fitting;
  for (const auto& example : all.examples) {
    if (d.max_question_tokens > 0 && length(example.question) > d.max_question_tokens) continue;
    if (d.max_answer_tokens > 0 && length(example.answer) > d.max_answer_tokens) continue;
    fitting.push_back(example);
  }
  const auto chosen = data::select(
      fitting,
      {.count = d.count, .seed = static_cast<uint64_t>(d.seed), .one_per_group = d.one_per_group});
  const auto paraphrases = config.paraphrases.empty() ? decltype(read_paraphrases("")){}
                                                      : read_paraphrases(config.paraphrases);
  int64_t largest_k = config.k;
  if (config.has_stage("ksweep")) largest_k = std::max(largest_k, config.k_sweep.back());

  std::vector<Pair> out;
  for (const auto& example : chosen) {
    Pair pair;
    pair.index = static_cast<int64_t>(out.size());
    pair.id = example.id, pair.article = example.group;
    pair.question = example.question, pair.answer = example.answer, pair.context = example.context;
    pair.question_ids = target_ids(tokenizer, pair.question, vocabulary.eos);
    pair.answer_ids = target_ids(tokenizer, pair.answer, vocabulary.eos);
    if (const auto found = paraphrases.find(pair.id); found != paraphrases.end()) {
      for (const auto& text : found->second.first)
        pair.paraphrases.questions.push_back(target_ids(tokenizer, text, vocabulary.eos));
      for (const auto& text : found->second.second)
        pair.paraphrases.answers.push_back(target_ids(tokenizer, text, vocabulary.eos));
    }
    require_context(pair, largest_k, model);
    out.push_back(std::move(pair));
  }
  if (!config.paraphrases.empty())
    require_paraphrases(out, config.paraphrases, paraphrases.begin()->first);
  return out;
}

std::string paraphrase_note(const std::vector<Pair>& pairs, const DcmConfig& config) {
  if (config.paraphrases.empty()) return "";
  const auto without = [](const Pair& pair) { return pair.paraphrases.empty(); };
  const auto count = std::count_if(pairs.begin(), pairs.end(), without);
  if (count == 0) return "";
  return str(config.paraphrases, ": no paraphrases for ", count, " of ", pairs.size(),
             " pairs (the first is ", std::find_if(pairs.begin(), pairs.end(), without)->id,
             "): stage paraphrase is stage joint for them");
}

}  // namespace preimage::dcm
