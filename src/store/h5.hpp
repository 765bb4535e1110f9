// HDF5 behind move-only handles and checked calls. Only this room includes hdf5.h. All of it runs
// on one thread of a process: the library is not built thread-safe everywhere.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

namespace preimage::store::h5 {

// Turns off error printing, plugin loading and the library's clean-up at exit (which segfaults
// after a full disk; files are closed by their handles). Every unit calls it before its first HDF5
// call.
void prepare();

// An I/O error: what we did, then HDF5's own innermost message.
base::Error error(std::string_view what);

// Checked call: throws error(what) when HDF5 reports failure. Returns the value.
template <class Value>
Value must(Value value, std::string_view what) {
  if (value < 0) throw error(what);
  return value;
}

// Owns one HDF5 id. Its destructor closes silently; close() is the checked twin.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle() = default;
  // Throws error(what) when `id` is negative.
  Handle(hid_t id, Close closer, std::string_view what) : id_(must(id, what)), close_(closer) {}
  Handle(Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  void close(std::string_view what) { must(close_(std::exchange(id_, H5I_INVALID_HID)), what); }
  hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

// A new file on disk (an old one is replaced), or one that lives in memory only.
Handle create_file(const std::filesystem::path& path);
Handle create_memory_file();
// The bytes of a memory file, as they would stand on disk.
std::string file_image(const Handle& file);
// Read-only. `image` is copied; `name` is for messages.
Handle open_image(const std::string& image, const std::string& name);
Handle open_file(const std::filesystem::path& path);

Handle open_dataset(hid_t at, const std::string& path);
// Groups without time stamps, so that equal contents give equal bytes.
Handle open_or_create_group(hid_t at, const std::string& path);
void create_parents(hid_t at, const std::string& path);  // "a/b" of "a/b/c"
Handle simple_space(const std::vector<hsize_t>& dims);
std::vector<hsize_t> dims_of(hid_t dataset);
// Whether every group of "a/b/c" is there, and the object at its end.
bool exists(hid_t at, const std::string& path);

// Property lists: names in UTF-8; dataset creation without time stamps.
Handle link_plist();
Handle dataset_plist();
// Chunks of about a megabyte with shuffle and deflate: the largest leading axes are cut first.
void compress(const Handle& plist, std::vector<hsize_t> dims, size_t element_bytes);

Handle text_type();  // variable-length UTF-8
Handle bool_type();  // the enum that h5py shows as numpy.bool_

// Attributes. A JSON value becomes the nearest HDF5 type: integer, double, bool, text; a list of
// one of these a 1-D array; anything else its JSON text.
void set_attribute(hid_t object, const std::string& name, const base::Json& value);
void set_text_list(hid_t object, const std::string& name, const std::vector<std::string>& values);
// Null when missing; an attribute of a type that set_attribute never writes is shown as "?".
base::Json attribute(hid_t object, const std::string& name);
base::Json attributes(hid_t object);

}  // namespace preimage::store::h5
