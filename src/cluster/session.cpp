#include "preimage/cluster/session.hpp"

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <new>

#include "mpi_call.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"

namespace preimage::cluster {
namespace {

std::shared_ptr<Communicator::Impl> start_mpi(int& argc, char**& argv) {
  // A process that mpirun did not start would start a daemon for ranks that it might spawn, which
  // costs a fifth of a second; it spawns none.
  ::setenv("OMPI_MCA_ess_singleton_isolated", "1", /*overwrite=*/0);
  // FUNNELED: only the main thread calls MPI; other threads (kernels, watchdog) may exist.
  int provided = 0;
  check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_FUNNELED) {
    throw base::unavailable_error(
        "MPI: this library supports no threads at all; "
        "preimage needs MPI_THREAD_FUNNELED: use another MPI build");
  }
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return std::make_shared<Communicator::Impl>(MPI_COMM_WORLD, false);
}

std::string host_name() {
  char name[256] = "";
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

std::string pack(base::ExitCode code, const std::string& text) {
  return base::str(static_cast<int>(code), "\n", text);
}

[[noreturn]] void throw_packed(const std::string& packed) {
  const size_t end = packed.find('\n');
  const auto code = static_cast<base::ExitCode>(std::atoi(packed.c_str()));
  throw CollectiveError(code, packed.substr(end + 1));
}

}  // namespace

Session::Session(int& argc, char**& argv)
    : exceptions_at_start_(std::uncaught_exceptions()),
      world_(start_mpi(argc, argv)),
      host_(host_name()) {
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world_.rank(), MPI_INFO_NULL,
                                &node),
            "MPI_Comm_split_type");
  check_mpi(MPI_Comm_rank(node, &local_rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(node, &local_count_), "MPI_Comm_size");
  check_mpi(MPI_Comm_free(&node), "MPI_Comm_free");
}

Session::~Session() {
  if (std::uncaught_exceptions() > exceptions_at_start_ && world_.size() > 1) {
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(base::ExitCode::bug));
  }
  MPI_Finalize();
}

std::string Session::library_version() const {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  check_mpi(MPI_Get_library_version(text, &length), "MPI_Get_library_version");
  const std::string whole(text, static_cast<size_t>(length));
  return whole.substr(0, whole.find_first_of(",\n"));
}

void Session::abort(int code) const {
  if (world_.size() > 1) MPI_Abort(MPI_COMM_WORLD, code);
  _exit(code);
}

std::string on_root(const Communicator& comm, const std::function<std::string()>& action) {
  std::string packed;
  if (comm.root()) {
    try {
      packed = pack(base::ExitCode::ok, action());
    } catch (const base::Error& error) {
      packed = pack(error.code(), error.what());
    }
  }
  packed = comm.broadcast(packed);
  if (packed.rfind("0\n", 0) == 0) return packed.substr(2);
  throw_packed(packed);
}

void together(const Communicator& comm, const std::function<void()>& action) {
  std::string mine;
  try {
    action();
  } catch (const base::Error& error) {
    mine = pack(error.code(), error.what());
  }
  for (const auto& packed : comm.all_gather(mine)) {
    if (!packed.empty()) throw_packed(packed);
  }
}

int run_ranked(const Session& session, const std::function<int()>& body,
               const std::function<void(base::ExitCode, const std::string&)>& report) {
  const auto leave = [&](base::ExitCode code, const std::string& text) {
    const bool alone = session.world().size() == 1;
    const auto place =
        alone ? "" : base::str("rank ", session.world().rank(), " on ", session.host(), ": ");
    report(code, place + text);
    if (!alone) session.abort(static_cast<int>(code));
    return static_cast<int>(code);
  };
  try {
    return body();
  } catch (const CollectiveError& error) {
    if (session.world().root()) report(error.code(), error.what());
    return static_cast<int>(error.code());
  } catch (const base::Error& error) {
    return leave(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return leave(base::ExitCode::unavailable, "out of memory: use fewer ranks or a smaller batch");
  } catch (const std::exception& error) {
    return leave(base::ExitCode::bug, base::str("unexpected error: ", error.what()));
  } catch (...) {
    return leave(base::ExitCode::bug, "unexpected error of unknown type");
  }
}

}  // namespace preimage::cluster
