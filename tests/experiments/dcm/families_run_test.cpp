// time limit: 120 s
// A dcm run on tiny checkpoints of the families with experts ends well and stores its content
// vectors. The executable is its own program: "families_run_test dcm JOB OUT".
#include <ATen/ATen.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "dcm.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/process.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/lm/safetensors.hpp"
#include "preimage/run/job.hpp"
#include "preimage/store/inspect.hpp"
#include "run/one_process.hpp"

namespace preimage::dcm {
namespace {

namespace fs = std::filesystem;

const fs::path fixtures = fs::path(PREIMAGE_TEST_DATA) / "lm/fixtures";

const char* const job_text = R"({
  "method": "dcm",
  "dcm": {
    "model": {"dir": "MODEL"},
    "data": {"kind": "pairs", "path": "PAIRS", "count": 2},
    "stages": ["single", "joint"], "k": 2, "restarts": 1, "mode_question": "a", "mode_answer": "b",
    "schedule": {"lr": 0.05, "steps": 12}, "baseline_draws": 1,
    "templates": {"answer_from_question": "{question}", "question_from_answer": "{answer}",
      "answer_from_passage": "{passage}{question}"}},
  "run": {"seed": 1, "device": "cpu", "threads": 1}
})";

// The fixture with a vocabulary that a tokenizer fits: its rows again and again.
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
      values = values.repeat({vocab / values.size(0) + 1, 1}).narrow(0, 0, vocab).contiguous();
    }
    tensors.emplace_back(info.name, values);
  }
  lm::write_safetensors(out / "model.safetensors", tensors);
}

int run_itself(const fs::path& job, const fs::path& out, const fs::path& log) {
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const pid_t pid = base::start_process(
      {.argv = {fs::read_symlink("/proc/self/exe").string(), "dcm", job.string(), out.string()},
       .environment = {"OMP_NUM_THREADS=1", "OMPI_ALLOW_RUN_AS_ROOT=1",
                       "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"},
       .stdout_fd = fd,
       .stderr_fd = fd});
  ::close(fd);
  return base::wait_process(pid).exit_code;
}

class FamilyRun : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Dcm, FamilyRun, testing::Values("gpt_oss_mxfp4", "deepseek_v3"));

TEST_P(FamilyRun, EndsWellAndStoresItsVectors) {
  const tests::TemporaryFolder folder;
  const auto path = [&](const char* name) { return folder.path() / name; };
  make_checkpoint(GetParam(), path("model"));
  std::ofstream(path("pairs.jsonl")) << R"({"id": "1", "question": "naive?", "answer": "42"})"
                                     << "\n"
                                     << R"({"id": "2", "question": "who won", "answer": "a"})"
                                     << "\n";
  auto text = std::string(job_text);
  text.replace(text.find("MODEL"), 5, path("model").string());
  text.replace(text.find("PAIRS"), 5, path("pairs.jsonl").string());
  std::ofstream(path("job.json")) << text;
  ASSERT_EQ(run_itself(path("job.json"), path("out"), path("log")), 0)
      << base::read_file(path("log"));

  const auto file = path("out") / "results.h5";
  const auto modes = store::read_tensor({file, "dcm/modes"});
  const auto embeddings = store::read_tensor({file, "dcm/embeddings"});
  const auto model = lm::load_model(path("model"), {});
  const int64_t d = model->config().hidden_size;
  ASSERT_EQ(embeddings.shape, (std::vector<int64_t>{2, 2, d}));
  ASSERT_EQ(modes.shape, (std::vector<int64_t>{2, d}));
  for (const float value : embeddings.values) ASSERT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace preimage::dcm

int main(int argc, char** argv) {
  using namespace preimage;
  if (argc > 3 && std::string(argv[1]) == "dcm") {
    const cluster::Session session(argc, argv);
    const run::JobRequest request{.job = argv[2], .out = argv[3]};
    return run::run_job(session, request,
                        [](const std::string& method) -> std::unique_ptr<run::Experiment> {
                          if (method != "dcm") return nullptr;
                          return std::make_unique<dcm::Dcm>();
                        });
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
