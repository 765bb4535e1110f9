// Opening HDF5 files that others may have made.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "h5.hpp"

namespace preimage::store {

struct ForeignFile {
  h5::Handle file;
  std::vector<std::string> datasets;  // paths without the leading slash, in the order of names
};

// Checks the whole file as inspect.hpp says before any data is read. ExitCode::bad_data.
ForeignFile open_foreign(const std::filesystem::path& path);

// Calls body() and turns an HDF5 failure inside it into ExitCode::bad_data that names the file.
template <class Body>
auto reading(const std::filesystem::path& path, const Body& body) {
  try {
    return body();
  } catch (const base::Error& error) {
    if (error.code() != base::ExitCode::io) throw;
    if (std::string(error.what()).find("already open for write") != std::string::npos) {
      throw base::data_error(path.string() +
                             ": is open for writing in another program, or was when that was "
                             "killed; close it there, or run h5clear -s on it");
    }
    throw base::data_error(path.string() + ": damaged, or not HDF5: " + error.what());
  }
}

}  // namespace preimage::store
