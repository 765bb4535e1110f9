// Stored answers of a policy, and reading them in the published formats.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "grader.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::grpo {

struct PoolSample {
  std::string pool;  // "teacher_pool"
  int64_t step = 0, index = 0;
  std::string problem_id;
  bool hint = false;
  std::string prompt, completion;  // "": not stored
  std::vector<int64_t> prompt_ids, completion_ids;
  std::string stop;  // why it ended; "": read from a file
  // What a file says; never believed, only compared.
  std::optional<double> stored_reward;
  std::optional<bool> stored_hacked, stored_gt_pass;
  Grade grade;
};

// Samples of a folder with step_NNN.jsonl.gz (or prompt_NNNN.jsonl.gz: the number is a problem's,
// and steps are counted) in order of the names; plain .jsonl too. Fields `problem_id`, `prompt`,
// `prompt_ids`, `completion`, `completion_ids`, `reward`, `hacked`, `gt_pass`; bare NaN is read as
// null; others are passed over. Ids are taken as they stand, less the padding behind a completion;
// where they are missing the texts are encoded. `pool` is the folder's name. ExitCode::bad_data
// with file and line for what is malformed, and for a folder without such a file.
std::vector<PoolSample> read_pool(const std::filesystem::path& folder,
                                  const text::Tokenizer& tokenizer);

// One step as such a file, compressed; every field of the published teacher pools that exists here.
std::string pool_file(const std::vector<PoolSample>& step);
std::string pool_file_name(int64_t step);  // "step_007.jsonl.gz"

}  // namespace preimage::grpo
