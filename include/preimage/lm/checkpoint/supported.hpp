// Which families a command can read, for its errors.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace preimage::lm {

enum class Use { generate, score, embed };

// "qwen2 (Qwen2ForCausalLM)", ...: what the command reads.
std::vector<std::string> supported_families(Use use);

// ExitCode::bad_data unless config.json names a family that the command reads: with the names that
// were found, and those that are supported by this command. Nothing else of the file is judged.
void require_supported(const std::filesystem::path& folder, Use use);

}  // namespace preimage::lm
