// The files of a folder that decide what its model computes: what a run's identity records.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace preimage::lm {

// Of a checkpoint, an adapter or a folder with a tokenizer alone: every file that a reader of this
// program opens there (configs, each file of a tokenizer, chat templates, the modules of a sentence
// pipeline) and, with `weights`, the weights: model.safetensors or each shard that the index names,
// adapter_model.safetensors. Paths below `folder`, sorted; nothing is read but names (of the index,
// and of modules.json). A shard that is named and missing is listed.
std::vector<std::string> checkpoint_identity(const std::filesystem::path& folder,
                                             bool weights = true);

}  // namespace preimage::lm
