#include "reader/client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "preimage/base/error.hpp"
#include "preimage/base/process.hpp"
#include "preimage/base/str.hpp"

namespace preimage::store {
namespace {

namespace fs = std::filesystem;
using base::str;

constexpr uint64_t kLargestFrame = 4ull << 30;
constexpr size_t kPiece = 1 << 20;

// Beside this program, or one folder up (tests lie in a folder of their own).
fs::path reader_program() {
  std::error_code error;
  const auto folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& path : {folder / "preimage-hdf5", folder.parent_path() / "preimage-hdf5"}) {
    if (fs::exists(path, error)) return path;
  }
  throw base::unavailable_error((folder / "preimage-hdf5").string() +
                                " is not there; build the target preimage-hdf5");
}

}  // namespace

ForeignReader::ForeignReader(const fs::path& file, const std::vector<std::string>& request,
                             const ReadLimits& limits)
    : file_(file), limits_(limits) {
  base::ProcessOptions process;
  process.argv = {reader_program().string(), str(limits.memory_bytes), file.string()};
  process.argv.insert(process.argv.end(), request.begin(), request.end());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw base::errno_error("pipe failed", errno);
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  process.stdout_fd = ends[1];
  process.stderr_fd = null;  // what a C library says when its heap is spoilt
  try {
    pid_ = base::start_process(process);
  } catch (...) {
    ::close(ends[0]), ::close(ends[1]), ::close(null);
    throw;
  }
  ::close(ends[1]), ::close(null);
  pipe_ = ends[0];
}

ForeignReader::~ForeignReader() {
  ::close(pipe_);
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);  // also where its answer is no longer wanted
  try {
    base::wait_process(pid_);
  } catch (const base::Error&) {
  }
}

void ForeignReader::fail_silent() {
  throw base::data_error(str(file_.string(), ": damaged or hostile: reading it gave nothing for ",
                             base::human_seconds(limits_.silence_s), "; it was given up"));
}

void ForeignReader::fail_ended() {
  const auto end = base::wait_process(std::exchange(pid_, -1));
  if (end.signal == SIGXCPU) fail_silent();
  throw base::data_error(str(
      file_.string(), ": damaged or hostile: the process that read it ended by ",
      end.signal != 0 ? std::string(::strsignal(end.signal)) : str("exit code ", end.exit_code)));
}

std::string ForeignReader::take(size_t bytes) {
  std::string out;
  while (out.size() < bytes) {
    pollfd waiting{pipe_, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(limits_.silence_s * 1000));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) fail_silent();
    const size_t have = out.size();
    out.resize(have + std::min(bytes - have, kPiece));
    const ssize_t got = ::read(pipe_, out.data() + have, out.size() - have);
    out.resize(have + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) fail_ended();
    if (got < 0 && errno != EINTR) throw base::errno_error("reading from preimage-hdf5", errno);
  }
  return out;
}

std::optional<ForeignReader::Frame> ForeignReader::next() {
  const auto head = take(1 + sizeof(uint64_t));
  uint64_t length = 0;
  std::memcpy(&length, head.data() + 1, sizeof length);
  if (length > kLargestFrame)
    throw base::data_error(file_.string() + ": its reader was led astray");
  Frame frame{static_cast<FrameKind>(head[0]), take(length)};
  if (frame.kind == FrameKind::end) return std::nullopt;
  if (frame.kind != FrameKind::error) return frame;
  const auto error = unpack(frame.bytes);
  throw base::Error(static_cast<base::ExitCode>(error.at(0).get<int>()),
                    error.at(1).get<std::string>());
}

ForeignReader::Frame ForeignReader::next(FrameKind kind) {
  auto frame = next();
  if (!frame || frame->kind != kind)
    throw base::data_error(file_.string() + ": its reader was led astray");
  return std::move(*frame);
}

}  // namespace preimage::store
