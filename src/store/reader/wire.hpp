// What preimage-hdf5 and its client say to each other: frames of one kind byte, a length of eight
// bytes and that many bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/store/inspect.hpp"

namespace preimage::store {

enum class FrameKind : char { json = 'J', rows = 'R', tensor = 'T', error = 'E', end = 'Z' };

// Names and texts of others may be any bytes: MessagePack, which holds them and the bits of NaN.
std::string pack(const base::Json& json);
base::Json unpack(std::string_view bytes);

base::Json info_to_json(const FileInfo& info);
FileInfo info_from_json(const base::Json& json);
base::Json schema_to_json(const TableSchema& schema);
TableSchema schema_from_json(const base::Json& json);

std::string rows_to_bytes(const std::vector<Row>& rows, const TableSchema& schema);
std::vector<Row> rows_from_bytes(std::string_view bytes, const TableSchema& schema);
std::string tensor_to_bytes(const Tensor& tensor);
Tensor tensor_from_bytes(std::string_view bytes);

}  // namespace preimage::store
