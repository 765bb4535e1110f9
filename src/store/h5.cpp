#include "h5.hpp"

#include <algorithm>
#include <functional>

#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::store::h5 {
namespace {

herr_t keep_innermost(unsigned n, const H5E_error2_t* entry, void* text) {
  // Walking upward, the first entry is where it went wrong.
  if (n == 0 && entry->desc) *static_cast<std::string*>(text) = entry->desc;
  return 0;
}

Handle access_plist() {
  Handle plist(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "HDF5 property list");
  // File names are unique and published files never change: locks would only fail on NFS and
  // Lustre.
  must(H5Pset_file_locking(plist.get(), 0, 1), "HDF5 file locking");
  must(H5Pset_libver_bounds(plist.get(), H5F_LIBVER_V110, H5F_LIBVER_V110), "HDF5 version bounds");
  must(H5Pset_fclose_degree(plist.get(), H5F_CLOSE_STRONG), "HDF5 close degree");
  return plist;
}

Handle core_plist() {
  auto plist = access_plist();
  must(H5Pset_fapl_core(plist.get(), size_t{1} << 20, 0), "HDF5 core driver");
  // H5Fget_file_image of 1.10.8 spoils the checksum of superblocks 2 and 3, so that the image
  // cannot be opened; superblock 0 has none. The segment's own CRC watches over every byte.
  must(H5Pset_libver_bounds(plist.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V110),
       "HDF5 version bounds");
  return plist;
}

Handle scalar_space() {
  return {H5Screate(H5S_SCALAR), H5Sclose, "HDF5 scalar space"};
}

void write_attribute(hid_t object, const std::string& name, const Handle& type, const Handle& space,
                     const void* data) {
  if (H5Aexists(object, name.c_str()) > 0) must(H5Adelete(object, name.c_str()), name);
  Handle attribute(
      H5Acreate2(object, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
      "attribute " + name);
  // An empty list has no address, and HDF5 wants one.
  if (data) must(H5Awrite(attribute.get(), type.get(), data), "attribute " + name);
}

Handle copy_type(hid_t type) {
  return {H5Tcopy(type), H5Tclose, "HDF5 type"};
}

template <class Value>
void set_list(hid_t object, const std::string& name, hid_t type, const base::Json& list) {
  const auto values = list.get<std::vector<Value>>();
  write_attribute(object, name, copy_type(type), simple_space({values.size()}), values.data());
}

bool all_of(const base::Json& list, const std::function<bool(const base::Json&)>& holds) {
  return std::all_of(list.begin(), list.end(), holds);
}

bool fits_int64(const base::Json& value) {
  return value.is_number_integer() &&
         !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX});
}

base::Json shown(base::Json list, bool scalar) {
  return scalar ? list.at(0) : list;
}

// One attribute as JSON; the count of its elements is bounded by the caller.
base::Json read_attribute(const Handle& attribute, size_t count, bool scalar) {
  const Handle type(H5Aget_type(attribute.get()), H5Tclose, "attribute type");
  const auto read = [&](const Handle& memory, void* out) {
    must(H5Aread(attribute.get(), memory.get(), out), "attribute");
  };
  switch (H5Tget_class(type.get())) {
    case H5T_INTEGER: {
      std::vector<int64_t> values(count);
      read(copy_type(H5T_NATIVE_INT64), values.data());
      return shown(values, scalar);
    }
    case H5T_FLOAT: {
      std::vector<double> values(count);
      read(copy_type(H5T_NATIVE_DOUBLE), values.data());
      return shown(values, scalar);
    }
    case H5T_ENUM: {
      if (H5Tget_size(type.get()) != 1) return "?";
      std::vector<int8_t> values(count);
      read(type, values.data());
      base::Json list = base::Json::array();
      for (const int8_t value : values) list.push_back(value != 0);
      return shown(list, scalar);
    }
    case H5T_STRING: {
      if (H5Tis_variable_str(type.get()) <= 0) {
        std::string text(H5Tget_size(type.get()) * count, '\0');
        if (!scalar || text.size() > (1 << 20)) return "?";
        read(type, text.data());
        return base::replace_invalid_utf8(text.substr(0, text.find('\0')));
      }
      std::vector<char*> texts(count, nullptr);
      read(type, texts.data());
      base::Json list = base::Json::array();
      for (const char* text : texts) list.push_back(base::replace_invalid_utf8(text ? text : ""));
      const Handle space(H5Aget_space(attribute.get()), H5Sclose, "attribute space");
      H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, texts.data());
      return shown(list, scalar);
    }
    default:
      return "?";
  }
}

}  // namespace

void prepare() {
  static const bool once = [] {
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    H5PLset_loading_state(0);
    return true;
  }();
  (void)once;
}

base::Error error(std::string_view what) {
  std::string inner;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &inner);
  H5Eclear2(H5E_DEFAULT);
  return base::io_error(std::string(what) + ": HDF5: " + (inner.empty() ? "failed" : inner));
}

Handle create_file(const std::filesystem::path& path) {
  prepare();
  const auto access = access_plist();
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "HDF5 property list");
  must(H5Pset_obj_track_times(creation.get(), false), "HDF5 property list");
  return {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose,
          path.string() + ": cannot be created"};
}

Handle create_memory_file() {
  prepare();
  const auto access = core_plist();
  return {H5Fcreate("in memory", H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose,
          "HDF5 file in memory"};
}

std::string file_image(const Handle& file) {
  must(H5Fflush(file.get(), H5F_SCOPE_GLOBAL), "HDF5 file in memory");
  const auto size = must(H5Fget_file_image(file.get(), nullptr, 0), "HDF5 file image");
  std::string image(static_cast<size_t>(size), '\0');
  must(H5Fget_file_image(file.get(), image.data(), image.size()), "HDF5 file image");
  return image;
}

Handle open_image(const std::string& image, const std::string& name) {
  prepare();
  const auto access = core_plist();
  must(H5Pset_file_image(access.get(), const_cast<char*>(image.data()), image.size()), name);
  // HDF5 refuses an image under the name of a file that is there.
  const auto image_name = name + " (read into memory)";
  return {H5Fopen(image_name.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose, name};
}

Handle open_file(const std::filesystem::path& path) {
  prepare();
  const auto access = access_plist();
  return {H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose, path.string()};
}

Handle open_dataset(hid_t at, const std::string& path) {
  return {H5Dopen2(at, path.c_str(), H5P_DEFAULT), H5Dclose, path};
}

Handle open_or_create_group(hid_t at, const std::string& path) {
  if (exists(at, path)) return {H5Gopen2(at, path.c_str(), H5P_DEFAULT), H5Gclose, path};
  create_parents(at, path);
  const auto links = link_plist();
  const Handle creation(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, "HDF5 property list");
  must(H5Pset_obj_track_times(creation.get(), false), "HDF5 property list");
  return {H5Gcreate2(at, path.c_str(), links.get(), creation.get(), H5P_DEFAULT), H5Gclose, path};
}

void create_parents(hid_t at, const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) open_or_create_group(at, path.substr(0, slash));
}

Handle simple_space(const std::vector<hsize_t>& dims) {
  return {H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose,
          "HDF5 space"};
}

std::vector<hsize_t> dims_of(hid_t dataset) {
  const Handle space(H5Dget_space(dataset), H5Sclose, "HDF5 space");
  std::vector<hsize_t> dims(
      static_cast<size_t>(must(H5Sget_simple_extent_ndims(space.get()), "HDF5 space")));
  if (!dims.empty()) {
    must(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr), "HDF5 space");
  }
  return dims;
}

bool exists(hid_t at, const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    if (H5Lexists(at, path.substr(0, slash).c_str(), H5P_DEFAULT) <= 0) return false;
    if (slash == std::string::npos) return true;
  }
}

Handle link_plist() {
  Handle plist(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "HDF5 property list");
  must(H5Pset_char_encoding(plist.get(), H5T_CSET_UTF8), "HDF5 property list");
  return plist;
}

Handle dataset_plist() {
  Handle plist(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "HDF5 property list");
  must(H5Pset_obj_track_times(plist.get(), false), "HDF5 property list");
  return plist;
}

void compress(const Handle& plist, std::vector<hsize_t> dims, size_t element_bytes) {
  hsize_t bytes = element_bytes;
  for (auto& dim : dims) {
    dim = std::max<hsize_t>(dim, 1);
    bytes *= dim;
  }
  for (auto& dim : dims) {
    for (; bytes > (1 << 20) && dim > 1; dim = (dim + 1) / 2) bytes = bytes / dim * ((dim + 1) / 2);
  }
  must(H5Pset_chunk(plist.get(), static_cast<int>(dims.size()), dims.data()), "HDF5 chunks");
  must(H5Pset_shuffle(plist.get()), "HDF5 shuffle filter");
  must(H5Pset_deflate(plist.get(), 1), "HDF5 deflate filter");
}

Handle text_type() {
  auto type = copy_type(H5T_C_S1);
  must(H5Tset_size(type.get(), H5T_VARIABLE), "HDF5 text type");
  must(H5Tset_cset(type.get(), H5T_CSET_UTF8), "HDF5 text type");
  return type;
}

Handle bool_type() {
  Handle type(H5Tenum_create(H5T_NATIVE_INT8), H5Tclose, "HDF5 bool type");
  const int8_t no = 0, yes = 1;
  must(H5Tenum_insert(type.get(), "FALSE", &no), "HDF5 bool type");
  must(H5Tenum_insert(type.get(), "TRUE", &yes), "HDF5 bool type");
  return type;
}

void set_text_list(hid_t object, const std::string& name, const std::vector<std::string>& values) {
  std::vector<std::string> escaped;
  for (const auto& value : values) escaped.push_back(base::escape_text(value));
  std::vector<const char*> pointers;
  for (const auto& value : escaped) pointers.push_back(value.c_str());
  write_attribute(object, name, text_type(), simple_space({pointers.size()}), pointers.data());
}

void set_attribute(hid_t object, const std::string& name, const base::Json& value) {
  if (fits_int64(value)) {
    const auto number = value.get<int64_t>();
    write_attribute(object, name, copy_type(H5T_NATIVE_INT64), scalar_space(), &number);
  } else if (value.is_number()) {
    const auto number = value.get<double>();
    write_attribute(object, name, copy_type(H5T_NATIVE_DOUBLE), scalar_space(), &number);
  } else if (value.is_boolean()) {
    const int8_t flag = value.get<bool>();
    write_attribute(object, name, bool_type(), scalar_space(), &flag);
  } else if (value.is_array() && !value.empty() && all_of(value, fits_int64)) {
    set_list<int64_t>(object, name, H5T_NATIVE_INT64, value);
  } else if (value.is_array() && !value.empty() &&
             all_of(value, [](const base::Json& v) { return v.is_number(); })) {
    set_list<double>(object, name, H5T_NATIVE_DOUBLE, value);
  } else if (value.is_array() && all_of(value, [](const base::Json& v) { return v.is_string(); })) {
    set_text_list(object, name, value.get<std::vector<std::string>>());
  } else {
    const auto text = value.is_string() ? base::escape_text(value.get_ref<const std::string&>())
                                        : base::canonical(value);
    const char* pointer = text.c_str();
    write_attribute(object, name, text_type(), scalar_space(), &pointer);
  }
}

base::Json attribute(hid_t object, const std::string& name) {
  if (H5Aexists(object, name.c_str()) <= 0) return nullptr;
  const Handle handle(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "attribute " + name);
  const Handle space(H5Aget_space(handle.get()), H5Sclose, "attribute " + name);
  const auto count = must(H5Sget_simple_extent_npoints(space.get()), "attribute " + name);
  const auto ndims = H5Sget_simple_extent_ndims(space.get());
  if (ndims > 1 || count > (1 << 20) || (ndims == 0 && count != 1)) return "?";
  if (count == 0) return base::Json::array();
  return read_attribute(handle, static_cast<size_t>(count), ndims == 0);
}

base::Json attributes(hid_t object) {
  std::vector<std::string> names;
  const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->push_back(name);
    return 0;
  };
  hsize_t at = 0;
  must(H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, &at, collect, &names), "attributes");
  base::Json out = base::Json::object();
  for (const auto& name : names) {
    out[base::replace_invalid_utf8(name)] = attribute(object, name);
  }
  return out;
}

}  // namespace preimage::store::h5
