// Decoding of T5, and beams over T5 and a decoder, against what transformers' generate() made of
// the same checkpoints (scripts/fixtures/make_encoder_fixtures.py); and against themselves in other
// company.
#include "preimage/lm/generate/beam_search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <bit>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"

namespace preimage::lm {
namespace {

using Ids = std::vector<int64_t>;
using base::Json;

std::vector<BeamRequest> requests_of(const Json& settings, const std::vector<SearchPrompt>& prompts,
                                     const Ids& stop_ids) {
  std::vector<BeamRequest> requests;
  for (const auto& prompt : prompts) {
    const auto& early = settings["early_stopping"];
    requests.push_back({.prompt = prompt,
                        .max_new_tokens = 24,
                        .beams = settings["num_beams"],
                        .returned = settings["num_return_sequences"],
                        .length_penalty = settings["length_penalty"],
                        .early_stopping = early == true      ? EarlyStopping::yes
                                          : early == "never" ? EarlyStopping::never
                                                             : EarlyStopping::no,
                        .repetition_penalty = settings["repetition_penalty"],
                        .no_repeat_ngram = settings["no_repeat_ngram_size"],
                        .stop_ids = stop_ids});
  }
  return requests;
}

void expect_as_transformers(SequenceBatch& batch, const Json& cases,
                            const std::vector<SearchPrompt>& prompts, const Ids& stop_ids) {
  for (const auto& settings : cases) {
    const auto found = beam_search(batch, requests_of(settings, prompts, stop_ids));
    for (size_t i = 0; i < prompts.size(); ++i) {
      const auto& truth = settings["rows"][i];
      ASSERT_EQ(found[i].size(), truth["ids"].size());
      for (size_t k = 0; k < found[i].size(); ++k) {
        const auto place = settings["num_beams"].dump() + " beams, " +
                           settings["early_stopping"].dump() + ", request " + std::to_string(i) +
                           ", hypothesis " + std::to_string(k);
        EXPECT_EQ(found[i][k].ids, truth["ids"][k].get<Ids>()) << place;
        EXPECT_NEAR(found[i][k].score, truth["scores"][k].get<double>(),
                    1e-4 * (1 + std::abs(truth["scores"][k].get<double>())))
            << place;
      }
    }
  }
}

class T5Models : public testing::TestWithParam<const char*> {
 protected:
  const std::shared_ptr<const T5Model> model = load_t5(fixture(GetParam()), {});
  const Json expected = base::read_json(fixture(GetParam()) / "expected.json");
  const SafetensorsFile tensors{fixture(GetParam()) / "expected.safetensors"};

  std::vector<SearchPrompt> prompts() const {
    std::vector<SearchPrompt> out;
    for (const auto& ids : expected["sources"]) out.push_back({.ids = ids.get<Ids>()});
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(Versions, T5Models, testing::Values("t5_relu", "t5_gated"),
                         [](const auto& version) { return std::string(version.param); });

// All targets in one pass, each behind the start token and beside its own source.
TEST_P(T5Models, LogitsOfTransformers) {
  Ids ids, lengths, slots, source_ids, source_lengths;
  std::vector<nn::KeySpan> own, sources;
  constexpr int64_t kCapacity = 64;
  for (size_t i = 0; i < expected["sources"].size(); ++i) {
    const auto source = expected["sources"][i].get<Ids>(),
               target = expected["targets"][i].get<Ids>();
    sources.push_back(
        {static_cast<int64_t>(source_ids.size()), static_cast<int64_t>(source.size())});
    source_ids.insert(source_ids.end(), source.begin(), source.end());
    source_lengths.push_back(static_cast<int64_t>(source.size()));
    ids.push_back(0);
    ids.insert(ids.end(), target.begin(), target.end() - 1);
    lengths.push_back(static_cast<int64_t>(target.size()));
    own.push_back({static_cast<int64_t>(i) * kCapacity, lengths.back()});
    for (int64_t t = 0; t < lengths.back(); ++t) slots.push_back(own.back().begin + t);
  }
  const auto memory = model->remember(
      model->encoder().hidden(model->encoder().embed(at::tensor(source_ids, at::kLong)),
                              nn::make_packing(source_lengths, at::kCPU)));
  const auto packing = nn::make_packing(lengths, at::kCPU);
  auto cache = model->make_cache(static_cast<int64_t>(lengths.size()), kCapacity);
  const T5Step step{nn::make_spans(packing, own, true), nn::make_spans(packing, sources, false),
                    at::tensor(slots, at::kLong)};
  const auto logits =
      nn::linear(model->decode(at::tensor(ids, at::kLong), step, memory, cache), model->head());
  for (size_t i = 0; i < lengths.size(); ++i) {
    const auto theirs = tensors.read(*tensors.find("logits." + std::to_string(i)));
    const auto ours = logits.narrow(0, packing.offsets[i], lengths[i]);
    EXPECT_LT(((ours - theirs).abs().max() / theirs.abs().max()).item<double>(), 1e-5) << i;
  }
}

TEST_P(T5Models, BeamsOfTransformers) {
  const auto batch = make_sequence_batch(*model);
  expect_as_transformers(*batch, expected["beams"], prompts(), {1});
}

TEST(DecoderBeams, OfTransformers) {
  const auto model = load_model(fixture("qwen2_tied"), {});
  const auto expected = base::read_json(fixture("qwen2_tied_beams.json"));
  std::vector<SearchPrompt> prompts;
  for (const auto& ids : expected["prompts"]) prompts.push_back({.ids = ids.get<Ids>()});
  const auto batch = make_sequence_batch(*model, 256, 64);
  expect_as_transformers(*batch, expected["beams"], prompts, {2, 3});
}

TEST(DecoderBeams, StopStringsOfTransformers) {
  const auto model = load_model(fixture("qwen2_text"), {});
  const auto tokenizer = text::load_tokenizer(fixture("qwen2_text"));
  const auto batch = make_sequence_batch(*model, 64, 64);
  int64_t stops = 0;
  for (const auto& row : base::read_json(fixture("qwen2_text_stops.json"))) {
    const BeamRequest request{.prompt = {row["prompt_ids"].get<Ids>(), {}},
                              .max_new_tokens = 16,
                              .beams = 3,
                              .returned = 3,
                              .stop_ids = model->config().eos_ids,
                              .stop = row["stop"],
                              .tokenizer = &tokenizer};
    const auto found = beam_search(*batch, {request})[0];
    ASSERT_EQ(found.size(), 3u);
    for (size_t k = 0; k < found.size(); ++k) {
      EXPECT_EQ(found[k].ids, row["ids"][k].get<Ids>()) << k;
      EXPECT_NEAR(found[k].score, row["scores"][k].get<double>(), 1e-4);
      if (found[k].finish_reason != "stop") continue;
      ++stops;
      const auto text = tokenizer.decode(found[k].ids);
      EXPECT_EQ(text.rfind(found[k].text, 0), 0u) << text;
      EXPECT_LT(found[k].text.size(), text.size());
    }
  }
  EXPECT_GE(stops, 3);
}

std::vector<int64_t> bits_of(const std::vector<Hypothesis>& hypotheses) {
  std::vector<int64_t> bits;
  for (const auto& one : hypotheses) {
    bits.insert(bits.end(), one.ids.begin(), one.ids.end());
    for (const float logprob : one.logprobs) bits.push_back(std::bit_cast<int32_t>(logprob));
    bits.push_back(std::bit_cast<int32_t>(one.score));
  }
  return bits;
}

// Requests of different settings, alone and together, with few rows and many.
void expect_independence(const std::function<std::unique_ptr<SequenceBatch>()>& make,
                         std::vector<BeamRequest> requests) {
  std::vector<std::vector<int64_t>> alone;
  for (const auto& request : requests) {
    const auto batch = make();
    alone.push_back(bits_of(beam_search(*batch, {request})[0]));
  }
  std::reverse(requests.begin(), requests.end());
  const int threads = at::get_num_threads();
  for (const int count : {1, 2}) {
    at::set_num_threads(count);
    for (const int64_t rows : {5, 17, 200}) {
      const auto batch = make();
      const auto found = beam_search(*batch, requests, {.rows = rows, .prefill_tokens = 10 * rows});
      for (size_t i = 0; i < requests.size(); ++i)
        EXPECT_EQ(bits_of(found[i]), alone[requests.size() - 1 - i]) << rows << " rows, " << i;
    }
  }
  at::set_num_threads(threads);
}

std::vector<BeamRequest> mixed_requests(const Json& cases, const std::vector<SearchPrompt>& prompts,
                                        const Ids& stop_ids) {
  std::vector<BeamRequest> mixed;
  for (size_t i = 0; i < cases.size(); ++i) {
    auto requests = requests_of(cases[i], prompts, stop_ids);
    mixed.push_back(requests[i % requests.size()]);
    mixed.back().max_new_tokens = 4 + static_cast<int64_t>(5 * i % 13);
  }
  return mixed;
}

TEST_P(T5Models, ARequestDoesNotDependOnItsCompany) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto own = load_t5(fixture(GetParam()), {.dtype = dtype});
    expect_independence([&] { return make_sequence_batch(*own); },
                        mixed_requests(expected["beams"], prompts(), {1}));
  }
}

TEST(DecoderBeams, ARequestDoesNotDependOnItsCompany) {
  const auto model = load_model(fixture("qwen2_tied"), {});
  const auto expected = base::read_json(fixture("qwen2_tied_beams.json"));
  std::vector<SearchPrompt> prompts;
  for (const auto& ids : expected["prompts"]) prompts.push_back({.ids = ids.get<Ids>()});
  expect_independence([&] { return make_sequence_batch(*model, 256, 64); },
                      mixed_requests(expected["beams"], prompts, {2, 3}));
}

TEST(BeamRequests, RefusesWhatItCannotSearch) {
  const auto model = load_t5(fixture("t5_relu"), {});
  const auto error = [&](const BeamRequest& request) {
    const auto batch = make_sequence_batch(*model);
    return data_error_of([&] { beam_search(*batch, {{.prompt = {{5}, {}}}, request}); });
  };
  EXPECT_THAT(error({}), testing::HasSubstr("request 1: found an empty prompt"));
  EXPECT_THAT(error({.prompt = {{96}, {}}}), testing::HasSubstr("token id 96"));
  EXPECT_THAT(error({.prompt = {{5}, {}}, .beams = 2, .returned = 3}),
              testing::HasSubstr("2 beams of which 3"));
  EXPECT_THAT(error({.prompt = {{5}, {}}, .max_new_tokens = 0}),
              testing::HasSubstr("max_new_tokens"));
  EXPECT_THAT(error({.prompt = {{5}, {}}, .stop = {"a"}}), testing::HasSubstr("tokenizer"));
}

}  // namespace
}  // namespace preimage::lm
