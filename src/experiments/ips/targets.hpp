// The programs whose instructions are searched, and the prompts that people wrote for them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::ips {

// A line of the file of targets: {"id", "language", "code", "metadata": {"license", "len_tokens"}},
// and optionally "entry_point" and "calls" (what its probes try first). The keys "target" for
// "code" and "license" outside "metadata" are read too.
struct Target {
  std::string id;  // "owner/repo:path:commit"
  std::string language;
  std::string code;    // as the file has it, line ends as LF
  std::string normal;  // text::normal_lines
  std::string license;
  std::string entry_point;
  std::vector<std::string> calls;
  int64_t stated_tokens = 0;  // metadata.len_tokens; 0: not stated

  std::vector<int64_t> ids;         // of `normal`, by the model's tokenizer
  std::vector<int64_t> answer_ids;  // what the loss is of, the end-of-text token last
  int64_t most_tokens = 0;          // L_max of a prompt
  int64_t corridor_low = 0;         // ceil(|T| / corridor_ratio)
};

struct TargetOptions {
  std::vector<std::string> only;  // ids; empty: all
  int64_t limit = 0;              // the first so many; 0: all
  double most_ratio = 7, corridor_ratio = 10;
  std::string answer = "{code}";  // what the model should write
  int64_t end_id = -1;            // the token that ends an answer; -1: none
};

// In the order of the file. ExitCode::bad_data: file, line, what was found: a missing key, an id
// that stands twice or is asked for and is not there, a target too short for any prompt.
std::vector<Target> read_targets(const std::filesystem::path& path,
                                 const text::Tokenizer& tokenizer, const TargetOptions& options);

// A prompt that somebody wrote for a target: {"target", "prompt"}.
struct HandPrompt {
  int64_t target = 0;  // index
  std::string text;
};
// Those of the targets at hand, in the order of the file; others are left out. ExitCode::bad_data.
std::vector<HandPrompt> read_hand_prompts(const std::filesystem::path& path,
                                          const std::vector<Target>& targets);

// The lines of a plain text file, without blank ones and those that begin with '#'.
std::vector<std::string> read_phrases(const std::filesystem::path& path);

}  // namespace preimage::ips
