#include "preimage/base/safetensors_header.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::base {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxRank = 64;  // the format has no limit, tensor libraries do
constexpr size_t kMaxMetadata = 100'000;
constexpr std::string_view kMetadataKey = "__metadata__";

// A name for a message: escaped, and cut where a hostile file made it long.
std::string shown(std::string_view name) {
  const std::string text = escape_text(name.substr(0, 120));
  return "\"" + text + (name.size() > 120 ? "...\"" : "\"");
}

int bits_of(std::string_view dtype) {
  for (const auto& known : safetensors_dtypes()) {
    if (known.code == dtype) return known.bits;
  }
  return 0;
}

std::string known_codes() {
  std::vector<std::string> codes;
  for (const auto& known : safetensors_dtypes()) codes.emplace_back(known.code);
  return join(codes, ", ");
}

// Takes the events of the JSON parser, and so holds nothing of a hostile header but what the format
// allows. Offsets are kept relative to the data until all is read.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(const std::string& place) : place_(place) {}
  SafetensorsHeader take() { return std::move(header_); }

  bool null() override { unexpected("null"); }
  bool boolean(bool value) override { unexpected(value ? "true" : "false"); }
  bool number_integer(int64_t value) override { unexpected(str("the number ", value)); }
  bool number_float(double, const std::string& text) override { unexpected("the number " + text); }
  bool binary(Json::binary_t&) override { unexpected("binary data"); }

  bool number_unsigned(uint64_t value) override {
    if (state_ == State::in_shape) {
      if (value > static_cast<uint64_t>(INT64_MAX)) unexpected(str("the number ", value));
      if (tensor_.shape.size() == kMaxRank) {
        fail(str("shape of more than ", kMaxRank, " dimensions"));
      }
      tensor_.shape.push_back(static_cast<int64_t>(value));
    } else if (state_ == State::in_offsets && offsets_ < 2) {
      (offsets_++ == 0 ? tensor_.begin : tensor_.end) = value;
    } else {
      unexpected(str("the number ", value));
    }
    return true;
  }

  bool string(std::string& value) override {
    if (state_ == State::metadata_value) {
      header_.metadata[key_] = value;
      state_ = State::in_metadata;
    } else if (state_ == State::dtype) {
      if (bits_of(value) == 0) {
        fail(str("unknown dtype ", shown(value), ", the format has ", known_codes()));
      }
      tensor_.dtype = value;
      state_ = State::in_tensor;
    } else {
      unexpected("the string " + shown(value));
    }
    return true;
  }

  bool key(std::string& name) override {
    if (state_ == State::top) {
      top_key(name);
    } else if (state_ == State::in_metadata) {
      if (header_.metadata.contains(name)) fail("key " + shown(name) + " appears twice; keep one");
      if (header_.metadata.size() == kMaxMetadata) {
        fail(str("more than ", kMaxMetadata, " entries"));
      }
      key_ = name;
      state_ = State::metadata_value;
    } else {
      tensor_key(name);
    }
    return true;
  }

  bool start_object(size_t) override {
    switch (state_) {
      case State::start:
        state_ = State::top;
        break;
      case State::metadata:
        state_ = State::in_metadata;
        break;
      case State::tensor:
        state_ = State::in_tensor;
        has_dtype_ = has_shape_ = has_offsets_ = false;
        offsets_ = 0;
        break;
      default:
        unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (state_ == State::in_tensor) {
      if (!has_dtype_) fail("no \"dtype\"");
      if (!has_shape_) fail("no \"shape\"");
      if (!has_offsets_) fail("no \"data_offsets\"");
      header_.tensors.push_back(std::move(tensor_));
      tensor_ = {};
    }
    subject_.clear();
    state_ = state_ == State::top ? State::done : State::top;
    return true;
  }

  bool start_array(size_t) override {
    if (state_ == State::shape) {
      state_ = State::in_shape;
    } else if (state_ == State::offsets) {
      state_ = State::in_offsets;
    } else {
      unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    if (state_ == State::in_offsets && offsets_ != 2) fail("data_offsets needs two numbers");
    state_ = State::in_tensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // Ids 401 and up are numbers beyond a double; the rest is syntax.
    fail(error.id > 400 ? "a number that no double holds"
                        : str("header byte ", position, ": not valid JSON"));
  }

 private:
  enum class State {
    start,
    top,
    done,
    metadata,
    in_metadata,
    metadata_value,
    tensor,
    in_tensor,
    dtype,
    shape,
    in_shape,
    offsets,
    in_offsets
  };

  void top_key(const std::string& name) {
    subject_ = name;
    if (!names_.insert(name).second) fail("the name appears twice in the header");
    tensor_.name = name;
    state_ = name == kMetadataKey ? State::metadata : State::tensor;
  }

  void tensor_key(const std::string& name) {
    const auto once = [&](bool& seen, State next) {
      if (seen) fail("key " + shown(name) + " appears twice; keep one");
      seen = true;
      state_ = next;
    };
    if (name == "dtype") {
      once(has_dtype_, State::dtype);
    } else if (name == "shape") {
      once(has_shape_, State::shape);
    } else if (name == "data_offsets") {
      once(has_offsets_, State::offsets);
    } else {
      fail("unknown key " + shown(name) + ", the format has dtype, shape and data_offsets");
    }
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw data_error(place_ + ": " + (subject_.empty() ? "" : shown(subject_) + ": ") + what);
  }

  [[noreturn]] void unexpected(const std::string& found) const {
    fail(str("found ", found, ", expected ", expected()));
  }

  std::string expected() const {
    switch (state_) {
      case State::metadata_value:
        return "a string as the value of " + shown(key_);
      case State::dtype:
        return "a string as dtype";
      case State::shape:
        return "an array as shape";
      case State::in_shape:
        return "unsigned integers in shape";
      case State::offsets:
      case State::in_offsets:
        return "two unsigned integers as data_offsets";
      default:
        return "an object";
    }
  }

  const std::string& place_;
  State state_ = State::start;
  SafetensorsHeader header_;
  SafetensorsTensor tensor_;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  int offsets_ = 0;
  std::string key_, subject_;
  std::unordered_set<std::string> names_;
};

[[noreturn]] void fail_tensor(const std::string& place, const SafetensorsTensor& tensor,
                              const std::string& what) {
  throw data_error(str(place, ": tensor ", shown(tensor.name), ": ", what));
}

// Bytes that shape and dtype need.
uint64_t needed_bytes(const std::string& place, const SafetensorsTensor& tensor) {
  uint64_t bits = static_cast<uint64_t>(bits_of(tensor.dtype));
  // A zero dimension makes zero bytes, yet the product of the others may still overflow: as in the
  // reference, the product is taken in order and every step is checked.
  uint64_t count = 1;
  bool overflow = false;
  for (const int64_t size : tensor.shape) {
    overflow = overflow || __builtin_mul_overflow(count, static_cast<uint64_t>(size), &count);
  }
  if (overflow || count > static_cast<uint64_t>(INT64_MAX) ||
      __builtin_mul_overflow(bits, count, &bits)) {
    fail_tensor(
        place, tensor,
        str("shape ", shape_text(tensor.shape), " of ", tensor.dtype, " overflows 64 bits"));
  }
  if (bits % 8 != 0) {
    fail_tensor(place, tensor,
                str(count, " elements of ", tensor.dtype, " are ", bits,
                    " bits, which make no whole bytes"));
  }
  return bits / 8;
}

void check_layout(const std::string& place, uint64_t file_size, SafetensorsHeader& header) {
  auto& tensors = header.tensors;
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t end = 0;
  for (const auto& tensor : tensors) {
    if (tensor.end < tensor.begin) {
      fail_tensor(place, tensor,
                  str("data_offsets [", tensor.begin, ", ", tensor.end, "] end before they begin"));
    }
    if (tensor.begin != end) {
      fail_tensor(place, tensor,
                  str("data begins at ", tensor.begin, ", the one before ends at ", end,
                      tensor.begin < end ? ": they overlap" : ": a hole in the file"));
    }
    const uint64_t needed = needed_bytes(place, tensor);
    if (tensor.end - tensor.begin != needed) {
      fail_tensor(place, tensor,
                  str("data_offsets hold ", tensor.end - tensor.begin, " bytes, shape ",
                      shape_text(tensor.shape), " of ", tensor.dtype, " needs ", needed));
    }
    end = tensor.end;
  }
  const uint64_t held = file_size - header.data_begin;
  if (end != held) {
    throw data_error(str(place, ": the header describes ", end, " bytes of data, the file holds ",
                         held, end > held ? "; is the download complete?" : "; it has a tail"));
  }
  for (auto& tensor : tensors) {
    tensor.begin += header.data_begin;
    tensor.end += header.data_begin;
  }
}

}  // namespace

const std::vector<SafetensorsDtype>& safetensors_dtypes() {
  static const std::vector<SafetensorsDtype> table = {
      {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
      {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
      {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
      {"I64", 64},        {"U64", 64}};
  return table;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  for (const int64_t size : shape) sizes.push_back(std::to_string(size));
  return "[" + join(sizes, ", ") + "]";
}

std::string foreign_weight_format(std::string_view head) {
  const auto starts = [&](std::string_view magic) { return head.substr(0, magic.size()) == magic; };
  const std::string convert = "; convert it to safetensors elsewhere";
  const std::string unpickle = "; scripts/convert_checkpoint.py makes safetensors of it";
  if (starts("version https://git-lfs")) {
    return "a git-lfs stub instead of the file itself; fetch it with `git lfs pull`";
  }
  if (starts("GGUF")) return "a GGUF file, which is not supported" + convert;
  if (starts("PK\x03\x04")) {
    return "a zip archive, as torch.save writes them (a pickle, which can run code): refused" +
           unpickle;
  }
  if (head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5) {
    return "a pickle, which can run code: refused" + unpickle;
  }
  if (starts("\x89HDF\r\n")) return "an HDF5 file, which is not supported for weights" + convert;
  return "";
}

uint64_t safetensors_header_size(std::string_view head, uint64_t file_size,
                                 const std::string& place) {
  // A safetensors file whose length field looks like another format's magic has its brace in place.
  if (head.size() <= 8 || head[8] != '{') {
    if (const auto foreign = foreign_weight_format(head); !foreign.empty()) {
      throw data_error(place + ": this is " + foreign);
    }
  }
  if (file_size < 8 || head.size() < 8) {
    throw data_error(
        str(place, ": header length missing (file has ", file_size, " bytes, a length takes 8)"));
  }
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(head[i]);
  if (length > kMaxHeaderBytes) {
    throw data_error(str(place, ": header length ", length, ", the format allows ", kMaxHeaderBytes,
                         "; this is no safetensors file, or it is damaged"));
  }
  if (length > file_size - 8) {
    throw data_error(str(place, ": header length ", length, ", but the file has ", file_size,
                         " bytes; is the download complete?"));
  }
  if (length == 0) throw data_error(place + ": header length 0, expected a JSON object");
  if (head.size() > 8 && head[8] != '{') {
    throw data_error(str(place, ": byte 8 is ", static_cast<int>(static_cast<uint8_t>(head[8])),
                         ", a header starts with '{'"));
  }
  return 8 + length;
}

SafetensorsHeader parse_safetensors_header(std::string_view bytes, uint64_t file_size,
                                           const std::string& place) {
  const uint64_t size = safetensors_header_size(bytes.substr(0, 64), file_size, place);
  check(bytes.size() == size, "the safetensors header is given whole");
  std::string_view text = bytes.substr(8);
  if (const size_t bad = first_invalid_utf8(text); bad != text.npos) {
    throw data_error(str(place, ": header byte ", bad, ": not valid UTF-8"));
  }
  text = text.substr(0, text.find_last_not_of(' ') + 1);
  if (text.back() != '}') {
    throw data_error(str(place, ": header byte ", text.size() - 1, " is ",
                         static_cast<int>(static_cast<uint8_t>(text.back())),
                         ", expected '}' and then only spaces"));
  }
  HeaderReader reader(place);
  Json::sax_parse(text, &reader);
  SafetensorsHeader header = reader.take();
  header.data_begin = size;
  check_layout(place, file_size, header);
  return header;
}

}  // namespace preimage::base
