// Any bytes as a problem set, as labelled candidates, or as a model's answer; the first byte
// chooses.
#include "file_input.hpp"
#include "preimage/base/error.hpp"
#include "preimage/data/candidates.hpp"
#include "preimage/data/programs.hpp"
#include "preimage/text/code_block.hpp"

namespace {

void problems(const std::string& kind, const std::string& path) {
  for (const auto& problem : preimage::data::read_programs({kind, path})) {
    preimage::base::check(!problem.entry_point.empty() && !problem.id.empty(), "a whole problem");
    const auto prompt = preimage::data::fill_prompt("{text}\n{tests}", problem);
    preimage::base::check(prompt.starts_with(problem.text), "a prompt begins with the task");
  }
}

void answer(const std::string& text) {
  size_t bytes = 0;
  for (const auto& block : preimage::text::code_blocks(text)) bytes += block.code.size();
  preimage::base::check(bytes <= text.size(), "blocks are parts of the text");
  preimage::base::check(preimage::text::extract_code(text, true).size() <= text.size(),
                        "a program is a part of the text");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static constexpr const char* kKinds[] = {"mbpp", "mbpp_sanitized", "humaneval", "leetcode"};
  const uint8_t choice = data[0] % 6;
  if (choice == 5) {
    answer({reinterpret_cast<const char*>(data + 1), size - 1});
    return 0;
  }
  const preimage::fuzz::MemoryFile file(data + 1, size - 1);
  try {
    if (choice == 4) {
      preimage::data::read_candidates(file.path());
    } else {
      problems(kKinds[choice], file.path());
    }
  } catch (const preimage::base::Error& error) {
    if (error.code() != preimage::base::ExitCode::bad_data) throw;
  }
  return 0;
}
