#include "preimage/lm/checkpoint/safetensors.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <unordered_map>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::str;

class Fd {
 public:
  Fd(const std::filesystem::path& path, int flags) {
    do {
      value_ = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    } while (value_ < 0 && errno == EINTR);
  }
  ~Fd() {
    if (value_ >= 0) ::close(value_);
  }
  Fd(Fd&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  int get() const { return value_; }

 private:
  int value_ = -1;
};

// Reads exactly `count` bytes at `offset`.
void read_at(const Fd& fd, const std::filesystem::path& path, uint64_t offset, char* out,
             uint64_t count) {
  while (count > 0) {
    const ssize_t got = ::pread(fd.get(), out, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw base::errno_error(str(path.string(), ": reading at byte ", offset, " failed"), errno);
    }
    if (got == 0) {
      throw base::data_error(str(path.string(), ": the file ends at byte ", offset, ", ", count,
                                 " more bytes were there when it was opened; it changed while it "
                                 "was read"));
    }
    out += got;
    offset += static_cast<uint64_t>(got);
    count -= static_cast<uint64_t>(got);
  }
}

struct Source {
  const Fd& fd;
  const std::filesystem::path& path;
  uint64_t begin;  // of the tensor's bytes in the file
};

// Bytes that are on their way to a device at one time, and that one thread reads at one time.
constexpr int64_t kStagedBytes = int64_t{32} << 20, kSliceBytes = int64_t{1} << 20;

// The allocator of pinned memory hands a piece out again when its copy is done.
void read_to_device(const Source& source, at::Tensor& out) {
  const auto bytes = static_cast<int64_t>(out.nbytes());
  const auto flat = at::from_blob(out.data_ptr(), {bytes}, out.options().dtype(at::kByte));
  for (int64_t first = 0; first < bytes; first += kStagedBytes) {
    const int64_t count = std::min(kStagedBytes, bytes - first);
    const auto piece = at::empty({count}, at::TensorOptions(at::kByte).pinned_memory(true));
    auto* to = reinterpret_cast<char*>(piece.data_ptr<uint8_t>());
    const int64_t slices = (count + kSliceBytes - 1) / kSliceBytes;
    at::parallel_for(0, slices, 1, [&](int64_t begin, int64_t end) {
      const int64_t start = begin * kSliceBytes, stop = std::min(count, end * kSliceBytes);
      read_at(source.fd, source.path, source.begin + static_cast<uint64_t>(first + start),
              to + start, static_cast<uint64_t>(stop - start));
    });
    flat.narrow(0, first, count).copy_(piece, /*non_blocking=*/true);
  }
}

void write_all(const Fd& fd, const std::filesystem::path& path, const char* bytes, uint64_t count) {
  while (count > 0) {
    const ssize_t written = ::write(fd.get(), bytes, count);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      throw base::errno_error(str(path.string(), ": writing ", count, " bytes failed"), errno);
    }
    bytes += written;
    count -= static_cast<uint64_t>(written);
  }
}

struct TorchDtype {
  std::string_view code;
  at::ScalarType type;
};
constexpr TorchDtype kTorchDtypes[] = {
    {"BOOL", at::kBool},
    {"U8", at::kByte},
    {"I8", at::kChar},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E4M3FNUZ", at::kFloat8_e4m3fnuz},
    {"F8_E5M2FNUZ", at::kFloat8_e5m2fnuz},
    {"I16", at::kShort},
    {"U16", at::kUInt16},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"I32", at::kInt},
    {"U32", at::kUInt32},
    {"F32", at::kFloat},
    {"C64", at::kComplexFloat},
    {"F64", at::kDouble},
    {"I64", at::kLong},
    {"U64", at::kUInt64},
};

// kByte for codes that ATen has no type for.
at::ScalarType torch_dtype(std::string_view code) {
  for (const auto& entry : kTorchDtypes) {
    if (entry.code == code) return entry.type;
  }
  return at::kByte;
}

// Position of the tensor's dtype among those of the format; -1 when the format has none for it.
int dtype_rank(at::ScalarType type) {
  const auto& known = base::safetensors_dtypes();
  for (const auto& entry : kTorchDtypes) {
    if (entry.type != type) continue;
    for (size_t i = 0; i < known.size(); ++i) {
      if (known[i].code == entry.code) return static_cast<int>(i);
    }
  }
  return -1;
}

using NamedTensor = std::pair<std::string, at::Tensor>;

// Later codes first, then by name: the order of the reference writer. Widths fall, so every tensor
// is aligned to its own element size.
std::vector<const NamedTensor*> written_order(const std::vector<NamedTensor>& tensors) {
  std::vector<const NamedTensor*> order;
  for (const auto& named : tensors) {
    const auto& [name, tensor] = named;
    base::check(tensor.defined() && tensor.device().is_cpu() && tensor.is_contiguous(),
                "tensor " + name + " to be written is contiguous and on the CPU");
    base::check(dtype_rank(tensor.scalar_type()) >= 0,
                str("the dtype of tensor ", name, " (", c10::toString(tensor.scalar_type()),
                    ") exists in safetensors"));
    base::check(name != "__metadata__", "no tensor is named __metadata__");
    order.push_back(&named);
  }
  std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const int rank_a = dtype_rank(a->second.scalar_type());
    const int rank_b = dtype_rank(b->second.scalar_type());
    return rank_a != rank_b ? rank_a > rank_b : a->first < b->first;
  });
  std::map<std::string_view, int> seen;
  for (const auto* named : order) {
    base::check(seen[named->first]++ == 0, "tensor names differ: " + named->first);
  }
  return order;
}

std::string header_bytes(const std::vector<const NamedTensor*>& order,
                         const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> members;
  if (!metadata.empty()) {
    members.push_back(str("\"__metadata__\":", base::canonical(base::Json(metadata))));
  }
  uint64_t offset = 0;
  for (const auto* named : order) {
    const at::Tensor& tensor = named->second;
    const auto code = base::safetensors_dtypes()[dtype_rank(tensor.scalar_type())].code;
    const uint64_t end = offset + tensor.nbytes();
    members.push_back(str(base::canonical(base::Json(named->first)), ":{\"dtype\":\"", code,
                          "\",\"shape\":", base::canonical(base::Json(tensor.sizes().vec())),
                          ",\"data_offsets\":[", offset, ",", end, "]}"));
    offset = end;
  }
  std::string json = str("{", base::join(members, ","), "}");
  json.resize((json.size() + 7) / 8 * 8, ' ');
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(json.size() >> (8 * i) & 0xFF);
  out += json;
  return out;
}

}  // namespace

struct SafetensorsFile::Impl {
  std::filesystem::path path;
  Fd fd;
  uint64_t size = 0;
  base::SafetensorsHeader header;
  std::unordered_map<std::string_view, size_t> index;  // views of header.tensors' names
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) {
  base::require_regular_file(path);
  // Not blocking: a FIFO may have taken the place of the file since it was looked at.
  auto impl = std::make_shared<Impl>(Impl{.path = path, .fd = Fd(path, O_RDONLY | O_NONBLOCK)});
  if (impl->fd.get() < 0) {
    throw base::data_error(base::errno_error(path.string() + ": cannot be opened", errno).what());
  }
  struct stat info {};
  if (::fstat(impl->fd.get(), &info) != 0) {
    throw base::errno_error(path.string() + ": stat failed", errno);
  }
  if (!S_ISREG(info.st_mode)) throw base::data_error(path.string() + ": not a regular file");
  impl->size = static_cast<uint64_t>(info.st_size);

  std::string head(std::min<uint64_t>(64, impl->size), '\0');
  read_at(impl->fd, path, 0, head.data(), head.size());
  std::string header(base::safetensors_header_size(head, impl->size, path.string()), '\0');
  read_at(impl->fd, path, 0, header.data(), header.size());
  impl->header = base::parse_safetensors_header(header, impl->size, path.string());
  for (size_t i = 0; i < impl->header.tensors.size(); ++i) {
    impl->index.emplace(impl->header.tensors[i].name, i);
  }
  impl_ = std::move(impl);
}

const std::filesystem::path& SafetensorsFile::path() const {
  return impl_->path;
}
uint64_t SafetensorsFile::size() const {
  return impl_->size;
}
const std::vector<TensorInfo>& SafetensorsFile::tensors() const {
  return impl_->header.tensors;
}
const std::map<std::string, std::string>& SafetensorsFile::metadata() const {
  return impl_->header.metadata;
}

const TensorInfo* SafetensorsFile::find(const std::string& name) const {
  const auto it = impl_->index.find(name);
  return it == impl_->index.end() ? nullptr : &impl_->header.tensors[it->second];
}

at::Tensor SafetensorsFile::read(const TensorInfo& info, at::Device device) const {
  const TensorInfo* own = find(info.name);
  base::check(own != nullptr && own->begin == info.begin && own->end == info.end,
              "the tensor to be read belongs to the file");
  const at::ScalarType type = torch_dtype(info.dtype);
  const auto bytes = static_cast<int64_t>(info.end - info.begin);
  const bool packed = info.dtype == "F4" || info.dtype.starts_with("F6_");
  // Bools are read as bytes: a bool that holds 2 is undefined behaviour.
  at::Tensor out = at::empty(packed ? at::IntArrayRef(bytes) : at::IntArrayRef(info.shape),
                             at::device(device).dtype(type == at::kBool ? at::kByte : type));
  base::check(static_cast<int64_t>(out.nbytes()) == bytes, "the header's sizes were checked");
  if (device.is_cpu()) {
    read_at(impl_->fd, impl_->path, info.begin, static_cast<char*>(out.data_ptr()),
            info.end - info.begin);
  } else {
    read_to_device({impl_->fd, impl_->path, info.begin}, out);
  }
  return type == at::kBool ? out.ne(0) : out;
}

void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const auto order = written_order(tensors);
  const std::string header = header_bytes(order, metadata);
  const std::filesystem::path temporary = path.string() + ".tmp";
  try {
    const Fd fd(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd.get() < 0) {
      throw base::errno_error(temporary.string() + ": cannot be created", errno);
    }
    write_all(fd, temporary, header.data(), header.size());
    for (const auto* named : order) {
      write_all(fd, temporary, static_cast<const char*>(named->second.const_data_ptr()),
                named->second.nbytes());
    }
    if (::fsync(fd.get()) != 0) {
      throw base::errno_error(temporary.string() + ": fsync failed", errno);
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      throw base::errno_error(path.string() + ": rename into place failed", errno);
    }
  } catch (const base::Error&) {
    ::unlink(temporary.c_str());  // a full disk needs the room
    throw;
  }
  base::sync_path(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."));
}

}  // namespace preimage::lm
