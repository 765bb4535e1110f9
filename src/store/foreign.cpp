#include "foreign.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::store {
namespace {

using base::str;
using h5::Handle;

constexpr int kMaxDepth = 32;
constexpr size_t kMaxObjects = 1 << 20;
// Deflate shrinks at most about 1032 times.
constexpr uint64_t kMaxRatio = 1100;

struct Walk {
  const std::filesystem::path& path;
  uint64_t file_bytes;
  std::vector<std::string>& datasets;
  std::set<haddr_t> seen = {};

  [[noreturn]] void refuse(const std::string& name, const std::string& what) const {
    throw base::data_error(str(path.string(), ": ", base::escape_text(name), ": ", what));
  }

  void check_filters(hid_t plist, const std::string& name) const {
    const int count = H5Pget_nfilters(plist);
    for (int i = 0; i < count; ++i) {
      unsigned flags = 0, config = 0;
      size_t values = 0;
      const auto filter = H5Pget_filter2(plist, static_cast<unsigned>(i), &flags, &values, nullptr,
                                         0, nullptr, &config);
      if (filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE ||
          filter == H5Z_FILTER_FLETCHER32) {
        continue;
      }
      refuse(name, str("stored with filter ", filter,
                       "; only deflate, shuffle and fletcher32 are read. Write it again without"));
    }
  }

  void check_dataset(hid_t at, const std::string& name) const {
    const Handle dataset = h5::open_dataset(at, name);
    const Handle plist(H5Dget_create_plist(dataset.get()), H5Pclose, name);
    const auto layout = H5Pget_layout(plist.get());
    if (layout == H5D_VIRTUAL) refuse(name, "a virtual dataset points to other files; refused");
    if (layout < 0) refuse(name, "unknown layout");
    if (H5Pget_external_count(plist.get()) != 0) refuse(name, "stored in other files; refused");
    check_filters(plist.get(), name);
    const Handle type(H5Dget_type(dataset.get()), H5Tclose, name);
    uint64_t bytes = H5Tget_size(type.get());
    for (const hsize_t size : h5::dims_of(dataset.get())) {
      if (__builtin_mul_overflow(bytes, size, &bytes)) bytes = UINT64_MAX;
      if (size == 0) {
        bytes = 0;
        break;
      }
    }
    if (bytes / kMaxRatio > file_bytes) {
      refuse(name, str("claims ", base::human_bytes(bytes), " in a file of ",
                       base::human_bytes(file_bytes), "; damaged or hostile"));
    }
  }

  std::vector<std::pair<std::string, H5L_type_t>> links_of(hid_t group) const {
    std::vector<std::pair<std::string, H5L_type_t>> out;
    const auto collect = [](hid_t, const char* name, const H5L_info_t* info, void* to) -> herr_t {
      auto& list = *static_cast<std::vector<std::pair<std::string, H5L_type_t>>*>(to);
      list.emplace_back(name, info->type);
      return list.size() > kMaxObjects ? 1 : 0;
    };
    hsize_t at = 0;
    h5::must(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &at, collect, &out), "links");
    return out;
  }

  void group(hid_t at, const std::string& prefix, int depth) {
    if (depth > kMaxDepth) refuse(prefix, str("groups deeper than ", kMaxDepth, " levels"));
    for (const auto& [name, type] : links_of(at)) {
      const std::string full = prefix + name;
      if (type != H5L_TYPE_HARD) refuse(full, "a soft or external link; refused");
      H5O_info_t info;
      h5::must(H5Oget_info_by_name2(at, name.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT), full);
      if (info.type == H5O_TYPE_GROUP) {
        if (!seen.insert(info.addr).second) refuse(full, "a group that was met before (a cycle?)");
        if (seen.size() > kMaxObjects) refuse(full, "too many objects");
        const Handle inner(H5Gopen2(at, name.c_str(), H5P_DEFAULT), H5Gclose, full);
        group(inner.get(), full + "/", depth + 1);
      } else if (info.type == H5O_TYPE_DATASET) {
        check_dataset(at, name);
        datasets.push_back(full);
      }
    }
  }
};

// A file that another program is writing is not damaged, only half written: HDF5 holds a lock on
// it.
void refuse_open_elsewhere(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return;  // the library says why
  const bool busy = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  if (busy) {
    throw base::data_error(path.string() +
                           ": is open for writing in another program; close it there first");
  }
}

}  // namespace

ForeignFile open_foreign(const std::filesystem::path& path) {
  base::require_regular_file(path);
  refuse_open_elsewhere(path);
  return reading(path, [&] {
    ForeignFile out{h5::open_file(path), {}};
    Walk walk{path, std::filesystem::file_size(path), out.datasets};
    const Handle root(H5Gopen2(out.file.get(), "/", H5P_DEFAULT), H5Gclose, "/");
    walk.group(root.get(), "", 0);
    return out;
  });
}

}  // namespace preimage::store
