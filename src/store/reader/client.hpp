// HDF5 files of others, read by preimage-hdf5: a process of its own with bounded memory and time,
// so that a damaged or hostile file ends that process and gives one line.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "preimage/store/inspect.hpp"
#include "reader/wire.hpp"

namespace preimage::store {

class ForeignReader {
 public:
  // `request`: {"info"}, {"rows", TABLE}, {"tensor", DATASET, ITEM} or {"items", DATASET}.
  ForeignReader(const std::filesystem::path& file, const std::vector<std::string>& request,
                const ReadLimits& limits);
  ~ForeignReader();
  ForeignReader(const ForeignReader&) = delete;
  ForeignReader& operator=(const ForeignReader&) = delete;

  struct Frame {
    FrameKind kind;
    std::string bytes;
  };
  // Nothing at the end. ExitCode::bad_data naming the file where the reader found something wrong,
  // died, or gave no sign for limits.silence_s.
  std::optional<Frame> next();
  // The next one, which is of this kind.
  Frame next(FrameKind kind);

 private:
  std::string take(size_t bytes);
  [[noreturn]] void fail_silent();
  [[noreturn]] void fail_ended();

  std::filesystem::path file_;
  ReadLimits limits_;
  pid_t pid_ = -1;
  int pipe_ = -1;
};

}  // namespace preimage::store
