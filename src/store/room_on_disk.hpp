// Asking for room before writing: a full disk is named with the bytes needed.
#pragma once

#include <cstdint>
#include <filesystem>

namespace preimage::store {

// Throws ExitCode::io when the file system of `folder` has fewer than `bytes` free.
void require_room(const std::filesystem::path& folder, uint64_t bytes);

}  // namespace preimage::store
