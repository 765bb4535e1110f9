#include "preimage/data/gzip.hpp"

#include <zlib.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::data {
namespace {
constexpr int kGzipFormat = 16;  // added to the window bits: zlib.h, deflateInit2
constexpr int kMemoryLevel = 8;  // zlib's default
}  // namespace

std::string gzip(std::string_view bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzipFormat, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    throw base::Error(base::ExitCode::bug, "zlib: deflateInit2 failed");
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool fits = bytes.size() <= UINT32_MAX && out.size() <= UINT32_MAX;
  const int status = fits ? deflate(&stream, Z_FINISH) : Z_BUF_ERROR;
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END)
    throw base::Error(base::ExitCode::bug,
                      base::str("zlib: ", bytes.size(), " bytes were not compressed"));
  return out;
}

}  // namespace preimage::data
