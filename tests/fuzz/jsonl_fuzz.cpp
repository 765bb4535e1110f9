// Any bytes as one of the data sets of one record a line, and as training text; the first byte
// chooses which, and whether bad lines are skipped.
#include "file_input.hpp"
#include "preimage/base/error.hpp"
#include "preimage/data/corpus.hpp"
#include "preimage/data/dataset.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace pd = preimage::data;
  if (size == 0) return 0;
  static constexpr const char* kKinds[] = {"natural_questions", "nq_open", "arithmetic", "sudoku",
                                           "pairs"};
  const preimage::fuzz::MemoryFile file(data + 1, size - 1);
  const auto bad_line = data[0] & 0x80 ? pd::BadLine::skip : pd::BadLine::error;
  try {
    const size_t kind = (data[0] & 0x7F) % 6;
    if (kind == 5) {
      pd::CorpusReader reader(file.path(), bad_line);
      while (reader.next()) {
      }
    } else {
      pd::read_dataset({.kind = kKinds[kind], .path = file.path(), .on_bad_line = bad_line});
    }
  } catch (const preimage::base::Error& error) {
    if (error.code() != preimage::base::ExitCode::bad_data) throw;
  }
  return 0;
}
