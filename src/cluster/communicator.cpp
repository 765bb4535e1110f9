#include "preimage/cluster/communicator.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <thread>

#include "mpi_call.hpp"
#include "preimage/base/error.hpp"

namespace preimage::cluster {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 30;  // below INT_MAX, MPI's largest count

MPI_Comm handle_of(const Communicator& comm) {
  return comm.impl().handle;
}

bool initialized_and_not_finalized() {
  int started = 0;
  int ended = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&ended);
  return started && !ended;
}

int64_t all_reduce(const Communicator& comm, int64_t value, MPI_Op op) {
  if (comm.size() == 1) return value;
  int64_t out = 0;
  MPI_Request request;
  check_mpi(MPI_Iallreduce(&value, &out, 1, MPI_INT64_T, op, handle_of(comm), &request),
            "MPI_Iallreduce");
  wait_for(request, "MPI_Iallreduce");
  return out;
}

std::vector<int64_t> gather_sizes(const Communicator& comm, int64_t mine) {
  std::vector<int64_t> sizes(comm.size());
  MPI_Request request;
  check_mpi(MPI_Iallgather(&mine, 1, MPI_INT64_T, sizes.data(), 1, MPI_INT64_T, handle_of(comm),
                           &request),
            "MPI_Iallgather");
  wait_for(request, "MPI_Iallgather");
  return sizes;
}

}  // namespace

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw base::Error(base::ExitCode::bug,
                    std::string(call) + " failed: " + std::string(text, length));
}

void wait_for(MPI_Request& request, const char* call) {
  using namespace std::chrono_literals;
  const auto start = std::chrono::steady_clock::now();
  auto pause = 20us;
  for (int tests = 0;; ++tests) {
    int done = 0;
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), call);
    if (done) return;
    if (tests < 50 || std::chrono::steady_clock::now() - start < 200us) {
      sched_yield();
      continue;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min<std::chrono::microseconds>(pause * 2, 1000us);
  }
}

Communicator::Impl::Impl(MPI_Comm comm, bool owns) : handle(comm), owned(owns) {
  if (handle == MPI_COMM_NULL) return;  // one process without MPI
  check_mpi(MPI_Comm_rank(handle, &rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(handle, &size), "MPI_Comm_size");
}

Communicator::Impl::~Impl() {
  if (owned && initialized_and_not_finalized()) MPI_Comm_free(&handle);
}

int Communicator::rank() const {
  return impl_->rank;
}
int Communicator::size() const {
  return impl_->size;
}

void Communicator::barrier() const {
  if (size() == 1) return;
  MPI_Request request;
  check_mpi(MPI_Ibarrier(impl_->handle, &request), "MPI_Ibarrier");
  wait_for(request, "MPI_Ibarrier");
}

void broadcast_bytes(const Communicator& comm, void* data, size_t bytes) {
  if (comm.size() == 1) return;
  for (size_t done = 0; done < bytes; done += kPieceBytes) {
    const int count = static_cast<int>(std::min(kPieceBytes, bytes - done));
    MPI_Request request;
    check_mpi(
        MPI_Ibcast(static_cast<char*>(data) + done, count, MPI_BYTE, 0, handle_of(comm), &request),
        "MPI_Ibcast");
    wait_for(request, "MPI_Ibcast");
  }
}

std::string Communicator::broadcast(const std::string& bytes) const {
  if (size() == 1) return bytes;
  auto length = static_cast<int64_t>(bytes.size());
  broadcast_bytes(*this, &length, sizeof length);
  std::string out = root() ? bytes : std::string(static_cast<size_t>(length), '\0');
  broadcast_bytes(*this, out.data(), out.size());
  return out;
}

std::vector<std::string> Communicator::all_gather(const std::string& bytes) const {
  if (size() == 1) return {bytes};
  const auto sizes = gather_sizes(*this, static_cast<int64_t>(bytes.size()));
  const int64_t largest = *std::max_element(sizes.begin(), sizes.end());
  std::vector<std::string> out;
  for (const int64_t length : sizes) out.emplace_back(static_cast<size_t>(length), '\0');
  // Rounds of at most `piece` bytes a rank keep counts and displacements inside MPI's int.
  const int64_t piece = std::max<int64_t>(1, INT_MAX / 2 / size());
  std::vector<int> counts(size());
  std::vector<int> starts(size());
  std::string received;
  for (int64_t done = 0; done < largest; done += piece) {
    int total = 0;
    for (int r = 0; r < size(); ++r) {
      counts[r] = static_cast<int>(std::clamp<int64_t>(sizes[r] - done, 0, piece));
      starts[r] = total;
      total += counts[r];
    }
    received.resize(static_cast<size_t>(total));
    MPI_Request request;
    const char* mine = bytes.data() + std::min<int64_t>(done, static_cast<int64_t>(bytes.size()));
    check_mpi(MPI_Iallgatherv(mine, counts[rank()], MPI_BYTE, received.data(), counts.data(),
                              starts.data(), MPI_BYTE, impl_->handle, &request),
              "MPI_Iallgatherv");
    wait_for(request, "MPI_Iallgatherv");
    for (int r = 0; r < size(); ++r) {
      std::copy_n(received.data() + starts[r], counts[r], out[r].data() + std::min(done, sizes[r]));
    }
  }
  return out;
}

int64_t Communicator::all_reduce_sum(int64_t value) const {
  return all_reduce(*this, value, MPI_SUM);
}

int64_t Communicator::all_reduce_max(int64_t value) const {
  return all_reduce(*this, value, MPI_MAX);
}

Communicator Communicator::split(int color) const {
  base::check(color >= 0, "a color is not negative");
  if (size() == 1) return alone();
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(impl_->handle, color, rank(), &part), "MPI_Comm_split");
  return Communicator(std::make_shared<Impl>(part, true));
}

Communicator alone() {
  return Communicator(std::make_shared<Communicator::Impl>(MPI_COMM_NULL, false));
}

}  // namespace preimage::cluster
