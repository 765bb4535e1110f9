// Pairs of completions behind one prompt whose contrast is a direction.
#pragma once

#include <string>
#include <vector>

namespace preimage::grpo {

struct ContrastPair {
  std::string id, prompt, hack, clean;
};

// `selector`: a JSON file, an array of {"problem_id", "prompt", "hack", "clean"}; or Markdown,
// "FILE.md#section[/id prefix][@tag,tag]", with blocks fenced by five backticks and the word `text`
// under "#### Prompt", "#### Hack", "#### Clean" of each "### id" (all tags must be there; without
// "#" all sections). ExitCode::bad_data with the line for what is malformed, for an id that comes
// twice in a section, and for an empty selection.
std::vector<ContrastPair> read_pairs(const std::string& selector);
std::string pairs_path(const std::string& selector);  // the file of a selector

}  // namespace preimage::grpo
