// The model that comes with preimage: its sizes, that it was trained, and that what the quick job
// and the tests ask of it was kept out of its corpus.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "preimage/base/json.hpp"
#include "preimage/lm/score.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::dcm {
namespace {

namespace fs = std::filesystem;

const fs::path jobs = fs::path(PREIMAGE_SOURCE_DIR) / "jobs";
const fs::path folder = jobs / "models/pocket-lm";

base::Json corpus() {
  return base::read_json(folder / "corpus.json");
}

TEST(PocketLm, HasTheSizesPromised) {
  const auto config = lm::read_model_config(folder);
  EXPECT_EQ(config.family, "qwen2");
  EXPECT_GE(config.parameters(), 5'000'000);
  EXPECT_LE(config.parameters(), 8'000'000);
  EXPECT_GE(config.vocab_size, 4000);
  EXPECT_LE(config.vocab_size, 8192);
  EXPECT_LE(fs::file_size(folder / "model.safetensors"), 16'000'000u);
  const auto tokenizer = text::load_tokenizer(folder);
  for (const char* mode : {"Q", "A"}) EXPECT_EQ(tokenizer.encode(mode).size(), 1u) << mode;
  const std::string text = "Größe: naïve 東京 \xF0\x9F\x98\x80\n\tdef f(x): return x+1";
  const auto ids = tokenizer.encode(text);
  EXPECT_EQ(tokenizer.decode(ids), text);
  for (const int64_t id : ids) EXPECT_LT(id, config.vocab_size);
}

// Bits per byte of English that it never saw: far below the 8 of chance and gzip's 4 on a text so
// short.
TEST(PocketLm, PredictsText) {
  const auto model = lm::load_model(folder, {});
  const auto tokenizer = text::load_tokenizer(folder);
  const auto data = base::read_json(jobs / "data/squad_sample.json")["data"];
  double nats = 0, bytes = 0;
  std::vector<lm::ScoreRequest> requests;
  for (const auto& article : data) {
    const auto context = article["paragraphs"][0]["context"].get<std::string>().substr(0, 400);
    requests.push_back({.prompt = {tokenizer.special().eos.value()},
                        .embeddings = {},
                        .continuation = tokenizer.encode(context)});
    bytes += static_cast<double>(context.size());
  }
  for (const auto& score : lm::score(*model, requests, {})) {
    for (const float logprob : score.logprobs) nats -= logprob;
  }
  EXPECT_LT(nats / std::log(2.0) / bytes, 2.5);
  EXPECT_GT(nats / std::log(2.0) / bytes, 0.7);  // as if it had seen them
}

TEST(PocketLm, EveryArticleOfTheQuickAndTestPairsIsHeldOut) {
  const auto held_out = corpus()["held_out"]["squad_articles"].get<std::set<std::string>>();
  const auto sample = base::read_json(jobs / "data/squad_sample.json")["data"];
  ASSERT_FALSE(sample.empty());
  for (const auto& article : sample) {
    EXPECT_THAT(held_out, testing::Contains(article["title"].get<std::string>()));
  }
  const auto quick = base::read_json(jobs / "quick/dcm.json")["dcm"];
  EXPECT_EQ(quick["data"]["path"], "jobs/data/squad_sample.json");
  EXPECT_EQ(quick["model"]["dir"], "jobs/models/pocket-lm");
}

TEST(PocketLm, MbppTasksOfTheTestRangeAreHeldOut) {
  int64_t first = 0, last = 0;
  char dash = 0;
  std::istringstream range(corpus()["held_out"]["mbpp_task_ids"].get<std::string>());
  range >> first >> dash >> last;
  EXPECT_EQ(first, 1);
  EXPECT_EQ(last, 600);
  std::ifstream lines(jobs / "data/mbpp_sample.jsonl");
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto id = base::Json::parse(line)["task_id"].get<int64_t>();
    EXPECT_GE(id, first);
    EXPECT_LE(id, last);
  }
  EXPECT_GT(count, 0);
}

// The corpus list says of each source where it is from, under which licence, and which bytes.
TEST(PocketLm, TheCorpusListIsComplete) {
  const auto list = corpus();
  double bytes = 0;
  std::vector<std::string> excepted;
  for (const auto& source : list["sources"]) {
    const auto name = source["name"].get<std::string>();
    EXPECT_FALSE(source["licence"].get<std::string>().empty()) << name;
    EXPECT_EQ(source["sha256"].get<std::string>().size(), 64u) << name;
    EXPECT_GT(source["documents"].get<int64_t>(), 0) << name;
    bytes += source["bytes"].get<double>();
    for (const char* set : {"SQuAD", "MBPP", "GSM8K", "arithmetic"}) {
      if (name.find(set) != std::string::npos) excepted.push_back(name);
    }
  }
  // The sets that tests draw from come in with their exception only.
  EXPECT_THAT(excepted, testing::UnorderedElementsAre(
                            "SQuAD 2.0 (dev, without the held-out articles)",
                            "GSM8K (train, without the shipped sample)", "MBPP (task_id 601-974)",
                            "generated arithmetic (without the shipped sample)"));
  EXPECT_GE(bytes, list["totals"]["train"]["text_bytes"].get<double>());
}

}  // namespace
}  // namespace preimage::dcm
