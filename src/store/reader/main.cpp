// preimage-hdf5 MEMORY FILE REQUEST...: started by preimage to read one HDF5 file that others may
// have made. Answers in frames (reader/wire.hpp) on standard output.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>

#include "preimage/base/error.hpp"
#include "preimage/base/output.hpp"
#include "preimage/base/str.hpp"
#include "reader/here.hpp"
#include "reader/wire.hpp"

namespace preimage::store {
namespace {

constexpr rlim_t kCpuSeconds = 30;  // without a frame

void limit(int resource, rlim_t value) {
  const rlimit limits{value, value};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &limits);
}

// Each sign of life gives it the same time again.
void extend_cpu_limit() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto spent = static_cast<rlim_t>(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
  const rlimit limits{spent + kCpuSeconds, RLIM_INFINITY};
  ::setrlimit(RLIMIT_CPU, &limits);
}

void send(FrameKind kind, const std::string& bytes) {
  std::string head(1, static_cast<char>(kind));
  const uint64_t length = bytes.size();
  head.append(reinterpret_cast<const char*>(&length), sizeof length);
  base::write_all(STDOUT_FILENO, head, "standard output");
  base::write_all(STDOUT_FILENO, bytes, "standard output");
  extend_cpu_limit();
}

void send_error(base::ExitCode code, const std::string& text) {
  send(FrameKind::error, pack({static_cast<int>(code), text}));
}

void answer(const std::string& file, const std::vector<std::string>& request) {
  const auto& what = request.at(0);
  if (what == "info") return send(FrameKind::json, pack(info_to_json(inspect_here(file))));
  if (what == "rows") {
    bool first = true;
    return read_table_here(file, request.at(1),
                           [&](const TableSchema& schema, const std::vector<Row>& rows) {
                             if (std::exchange(first, false))
                               send(FrameKind::json, pack(schema_to_json(schema)));
                             else
                               send(FrameKind::rows, rows_to_bytes(rows, schema));
                           });
  }
  if (what == "tensor") {
    const auto tensor = read_tensor_here({file, request.at(1), std::atoll(request.at(2).c_str())});
    send(FrameKind::json, pack(base::Json(tensor.shape)));
    for (const auto& item : tensor.items) send(FrameKind::tensor, tensor_to_bytes(item));
    return;
  }
  base::check(what == "items", "a request of preimage-hdf5 is known");
  read_items_here(file, request.at(1),
                  [](const Tensor& item) { send(FrameKind::tensor, tensor_to_bytes(item)); });
}

int serve(int argc, char** argv) {
#ifndef __SANITIZE_ADDRESS__  // which reserves terabytes of addresses
  limit(RLIMIT_AS, std::strtoull(argv[1], nullptr, 10));
#endif
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, 0);
  extend_cpu_limit();
  try {
    answer(argv[2], {argv + 3, argv + argc});
    send(FrameKind::end, "");
  } catch (const base::Error& error) {
    send_error(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    send_error(base::ExitCode::bad_data,
               base::str(argv[2], ": damaged or hostile: reading it takes more memory than the ",
                         base::human_bytes(std::strtoull(argv[1], nullptr, 10)), " that it gets"));
  } catch (const std::exception& error) {
    send_error(base::ExitCode::bad_data, base::str(argv[2], ": damaged: ", error.what()));
  }
  // Not by exit(): the library's own clean-up would run over what a damaged file left.
  ::_exit(0);
}

}  // namespace
}  // namespace preimage::store

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("preimage-hdf5: it is started by preimage (preimage inspect), not by hand\n",
               stderr);
    return 78;
  }
  return preimage::store::serve(argc, argv);
}
