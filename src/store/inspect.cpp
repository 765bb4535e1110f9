#include "preimage/store/inspect.hpp"

#include <charconv>

#include "preimage/base/error.hpp"
#include "reader/client.hpp"

namespace preimage::store {
namespace {

// `reader`'s answer must be what it should: else the file led it astray.
template <class Body>
auto understood(const std::filesystem::path& file, const Body& body) {
  try {
    return body();
  } catch (const base::Json::exception& wrong) {
    throw base::data_error(file.string() + ": its reader was led astray: " + wrong.what());
  }
}

}  // namespace

FileInfo inspect_file(const std::filesystem::path& path, const ReadLimits& limits) {
  return understood(path, [&] {
    ForeignReader reader(path, {"info"}, limits);
    return info_from_json(unpack(reader.next(FrameKind::json).bytes));
  });
}

void read_table(const std::filesystem::path& path, const std::string& table,
                const std::function<void(const Row&)>& row, const ReadLimits& limits) {
  ForeignReader reader(path, {"rows", table}, limits);
  const auto schema = understood(
      path, [&] { return schema_from_json(unpack(reader.next(FrameKind::json).bytes)); });
  while (const auto frame = reader.next()) {
    for (const auto& one : rows_from_bytes(frame->bytes, schema)) row(one);
  }
}

void read_items(const std::filesystem::path& path, const std::string& dataset,
                const std::function<void(const Tensor&)>& item, const ReadLimits& limits) {
  ForeignReader reader(path, {"items", dataset}, limits);
  while (const auto frame = reader.next()) item(tensor_from_bytes(frame->bytes));
}

TensorReference parse_tensor_reference(const std::string& text) {
  const std::string expected = "; expected FILE.h5:dataset[row] or FILE.h5:dataset";
  const auto fail = [&](const std::string& what) {
    return base::data_error("\"" + text + "\": " + what + expected);
  };
  // The last colon: a path may hold others, a dataset's name here may not.
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) throw fail("no dataset is named");
  TensorReference out{text.substr(0, colon), text.substr(colon + 1), -1};
  if (out.dataset.ends_with(']')) {
    const size_t open = out.dataset.rfind('[');
    if (open == std::string::npos) throw fail("']' without '['");
    const char* end = out.dataset.data() + out.dataset.size() - 1;
    const auto parsed = std::from_chars(out.dataset.data() + open + 1, end, out.item);
    if (parsed.ec != std::errc() || parsed.ptr != end || out.item < 0) {
      throw fail("the row is not a whole number from 0");
    }
    out.dataset.resize(open);
  }
  if (out.dataset.starts_with('/')) out.dataset.erase(0, 1);
  if (out.dataset.empty()) throw fail("no dataset is named");
  return out;
}

TensorValues read_tensor(const TensorReference& reference, const ReadLimits& limits) {
  ForeignReader reader(reference.file,
                       {"tensor", reference.dataset, std::to_string(reference.item)}, limits);
  TensorValues out;
  out.shape = understood(reference.file, [&] {
    return unpack(reader.next(FrameKind::json).bytes).get<std::vector<int64_t>>();
  });
  while (const auto frame = reader.next()) {
    const auto item = tensor_from_bytes(frame->bytes);
    std::visit(
        [&](const auto& values) {
          for (const auto value : values) out.values.push_back(static_cast<float>(value));
        },
        item.values);
  }
  return out;
}

}  // namespace preimage::store
