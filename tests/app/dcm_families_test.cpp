// time limit: 120 s
// A dcm run on tiny checkpoints of the families with experts: what it stored, put before the model
// again by `generate` and `score`, gives what it recorded.
#include <ATen/ATen.h>

#include "app/program.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"
#include "preimage/store/inspect.hpp"

namespace preimage::app::tests {
namespace {

const fs::path fixtures = fs::path(PREIMAGE_TEST_DATA) / "lm/fixtures";

const char* const job_text = R"({
  "method": "dcm",
  "dcm": {
    "model": {"dir": "MODEL"},
    "data": {"kind": "pairs", "path": "PAIRS", "count": 2},
    "stages": ["joint"], "k": 4, "restarts": 1, "mode_question": "a", "mode_answer": "b",
    "schedule": {"lr": 0.1, "steps": 200}, "baseline_draws": 1, "decode_extra_tokens": 3,
    "templates": {"answer_from_question": "{question}", "question_from_answer": "{answer}",
      "answer_from_passage": "{passage}{question}"}},
  "run": {"seed": 1, "device": "cpu", "threads": 1}
})";

// The fixture with a vocabulary that a tokenizer fits: its rows again and again, turned so that no
// two are alike.
void make_checkpoint(const std::string& family, const fs::path& out) {
  const auto tokenizer = fixtures / "qwen2_text";
  fs::create_directories(out);
  fs::copy(tokenizer / "tokenizer.json", out / "tokenizer.json");
  auto config = base::read_json(fixtures / "families" / family / "config.json");
  const int64_t vocab = base::read_json(tokenizer / "config.json")["vocab_size"];
  config["vocab_size"] = vocab;
  std::ofstream(out / "config.json") << config;
  const lm::SafetensorsFile file(fixtures / "families" / family / "model.safetensors");
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& info : file.tensors()) {
    auto values = file.read(info);
    if (info.name == "lm_head.weight" || info.name == "model.embed_tokens.weight") {
      std::vector<at::Tensor> rows;
      for (int64_t have = 0, turn = 0; have < vocab; have += values.size(0))
        rows.push_back(at::roll(values, turn++, 1));
      values = at::cat(rows).narrow(0, 0, vocab).contiguous();
    }
    tensors.emplace_back(info.name, values);
  }
  lm::write_safetensors(out / "model.safetensors", tensors);
}

// The rows of a table, each by the names of its columns.
std::vector<Json> rows_of(const fs::path& file, const std::string& table) {
  const auto info = store::inspect_file(file);
  std::vector<std::string> names;
  for (const auto& one : info.tables) {
    if (one.name != table) continue;
    for (const auto& column : one.schema.columns) names.push_back(column.name);
  }
  std::vector<Json> rows;
  store::read_table(file, table, [&](const store::Row& row) {
    auto& out = rows.emplace_back();
    for (size_t i = 0; i < row.size(); ++i)
      std::visit([&](const auto& cell) { out[names.at(i)] = cell; }, row[i]);
  });
  return rows;
}

class DcmFamilies : public ProgramTest, public testing::WithParamInterface<const char*> {
 protected:
  void run_job() const {
    make_checkpoint(GetParam(), path("model"));
    put_lines("pairs", {{{"id", "1"}, {"question", "naive?"}, {"answer", "42"}},
                        {{"id", "2"}, {"question", "who won"}, {"answer", "a"}}});
    auto text = std::string(job_text);
    text.replace(text.find("MODEL"), 5, path("model"));
    text.replace(text.find("PAIRS"), 5, path("pairs"));
    const auto ended = preimage({"run", put("job.json", text), "--out", path("out")});
    ASSERT_EQ(ended.code, 0) << ended.err;
  }
  std::vector<Json> tool(const std::string& name, const std::vector<Json>& lines) const {
    const auto ended =
        preimage({name, "--model", path("model"), "--in", put_lines("lines", lines)});
    EXPECT_EQ(ended.code, 0) << ended.err;
    return lines_of(ended.out);
  }
};
INSTANTIATE_TEST_SUITE_P(App, DcmFamilies, testing::Values("gpt_oss_mxfp4", "deepseek_v3"));

TEST_P(DcmFamilies, StoredVectorsGiveWhatTheRunRecorded) {
  run_job();
  const auto rows = rows_of(path("out/results.h5"), "dcm/pairs");
  ASSERT_EQ(rows.size(), 2u);
  std::vector<Json> prompts, targets;
  for (size_t pair = 0; pair < rows.size(); ++pair) {
    for (const int mode : {0, 1}) {
      const auto at = [&](const char* dataset, size_t item) {
        return base::str(path("out/results.h5"), ":dcm/", dataset, "[", item, "]");
      };
      const Json soft = {at("modes", static_cast<size_t>(mode)), at("embeddings", pair)};
      const int64_t length = rows[pair][mode == 0 ? "n_q" : "n_a"];
      prompts.push_back({{"soft_prompt", soft}, {"max_new_tokens", length + 3}});
      targets.push_back(
          {{"soft_prompt", soft}, {"continuation", rows[pair][mode == 0 ? "question" : "answer"]}});
    }
  }
  const auto decoded = tool("generate", prompts), scored = tool("score", targets);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto& row = rows[i / 2];
    EXPECT_EQ(decoded[i]["text"], row[i % 2 == 0 ? "decoded_q" : "decoded_a"]);
    // 32 features are too few for DeepSeek's words, 64 are enough for those of gpt-oss.
    if (std::string(GetParam()) == "gpt_oss_mxfp4") {
      EXPECT_TRUE(row["exact"].get<bool>()) << row;
    }
    double sum = 0;
    for (const auto& logprob : scored[i]["logprobs"]) sum -= logprob.get<double>();
    const double recorded = row[i % 2 == 0 ? "loss_q_without_eos" : "loss_a_without_eos"];
    EXPECT_NEAR(sum / static_cast<double>(scored[i]["logprobs"].size()), recorded, 1e-5);
    EXPECT_LT(recorded, row[i % 2 == 0 ? "random_q" : "random_a"].get<double>());
  }
}

}  // namespace
}  // namespace preimage::app::tests
