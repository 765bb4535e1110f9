#include "tokenizer/formats/sentencepiece.hpp"

#include <cstring>
#include <optional>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "tokenizer/model.hpp"

namespace preimage::text {
namespace {

// One message of the protobuf wire format: fields one by one. Groups do not occur.
class Message {
 public:
  Message(std::string_view bytes, const std::string& place, size_t offset)
      : bytes_(bytes), place_(place), offset_(offset) {}

  // Reads the next field; false at the end.
  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t key = varint();
    number_ = key >> 3;
    switch (key & 7) {
      case 0:
        value_ = varint();
        text_ = {};
        return true;
      case 1:
        fixed(8);
        return true;
      case 5:
        fixed(4);
        return true;
      case 2: {
        const uint64_t size = varint();
        if (size > bytes_.size() - at_) {
          fail(base::str("a field of ", size, " bytes, only ", bytes_.size() - at_, " are left"));
        }
        text_ = bytes_.substr(at_, size);
        begin_ = offset_ + at_;
        at_ += size;
        return true;
      }
      default:
        fail(base::str("wire type ", key & 7, ", expected 0, 1, 2 or 5"));
    }
  }

  uint64_t number() const { return number_; }
  uint64_t value() const { return value_; }
  bool flag() const { return value_ != 0; }
  std::string_view text() const { return text_; }
  Message message() const { return {text_, place_, begin_}; }
  float real() const {
    if (text_.size() != sizeof(float)) fail("a score that is not a 32-bit float");
    float out = 0;
    std::memcpy(&out, text_.data(), sizeof out);
    return out;
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw base::data_error(base::str(place_, ": byte ", offset_ + at_,
                                     " of the SentencePiece model: ", what,
                                     "; is the file whole, and is it such a model?"));
  }

 private:
  void fixed(size_t size) {
    if (size > bytes_.size() - at_) fail("the file ends inside a number");
    text_ = bytes_.substr(at_, size);
    at_ += size;
  }
  uint64_t varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) fail("the file ends inside a number");
      const auto byte = static_cast<uint8_t>(bytes_[at_++]);
      out |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return out;
    }
    fail("a number of more than 64 bits");
  }

  std::string_view bytes_;
  const std::string& place_;
  size_t offset_, at_ = 0, begin_ = 0;
  uint64_t number_ = 0, value_ = 0;
  std::string_view text_;
};

SentencePiece read_piece(Message message) {
  SentencePiece out;
  while (message.next()) {
    if (message.number() == 1) out.text = message.text();
    if (message.number() == 2) out.score = message.real();
    if (message.number() == 3) {
      if (message.value() < 1 || message.value() > 6) message.fail("an unknown type of a piece");
      out.type = static_cast<SentencePiece::Type>(message.value());
    }
  }
  if (base::first_invalid_utf8(out.text) != out.text.npos) message.fail("a piece is not UTF-8");
  if (out.text.empty()) message.fail("a piece without text");
  if (!(out.score > -1e30f && out.score < 1e30f)) message.fail("a score that is not finite");
  return out;
}

void read_trainer(Message message, SentencePieceModel& out) {
  while (message.next()) {
    if (message.number() == 3) {
      if (message.value() != 1 && message.value() != 2) {
        message.fail(
            base::str("model type ", message.value(), ", expected 1 (unigram) or 2 (BPE)"));
      }
      out.kind = static_cast<SentencePieceModel::Kind>(message.value());
    }
    if (message.number() == 24) out.whitespace_as_suffix = message.flag();
    if (message.number() == 35) out.byte_fallback = message.flag();
  }
}

void read_normalizer(Message message, SentencePieceModel& out) {
  while (message.next()) {
    if (message.number() == 2) out.charsmap = message.text();
    if (message.number() == 3) out.add_dummy_prefix = message.flag();
    if (message.number() == 4) out.remove_extra_whitespaces = message.flag();
    if (message.number() == 5) out.escape_whitespaces = message.flag();
  }
}

}  // namespace

SentencePieceModel read_sentencepiece(std::string_view bytes, const std::string& place) {
  SentencePieceModel out;
  Message message(bytes, place, 0);
  while (message.next()) {
    if (message.number() == 1) out.pieces.push_back(read_piece(message.message()));
    if (message.number() == 2) read_trainer(message.message(), out);
    if (message.number() == 3) read_normalizer(message.message(), out);
    if (out.pieces.size() > static_cast<size_t>(kMaxTokenId)) message.fail("too many pieces");
  }
  if (out.pieces.empty()) message.fail("found no pieces");
  return out;
}

}  // namespace preimage::text
