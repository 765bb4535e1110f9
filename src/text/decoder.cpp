#include "decoder.hpp"

#include <unordered_map>

#include "component.hpp"
#include "pre_tokenizer.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::text {
namespace {

using Texts = std::vector<std::string>;

class ByteLevelDecoder : public Decoder {
 public:
  ByteLevelDecoder() {
    bytes_.fill(-1);
    const auto alphabet = byte_alphabet();
    for (size_t i = 0; i < alphabet.size(); ++i) bytes_[alphabet[i]] = static_cast<int>(i);
  }
  void apply(Texts& texts) const override {
    std::string out;
    for (const auto& text : texts) {
      if (!append_bytes(text, out)) out += text;
    }
    texts = {base::replace_invalid_utf8(out)};
  }

 private:
  // False, and nothing appended, when a character is outside the alphabet.
  bool append_bytes(const std::string& text, std::string& out) const {
    const size_t before = out.size();
    for (size_t i = 0; i < text.size(); ++i) {
      size_t c = static_cast<uint8_t>(text[i]);
      if (c >= 0xC6) {
        out.resize(before);
        return false;
      }
      if (c >= 0x80) c = (c & 0x1F) << 6 | (static_cast<uint8_t>(text[++i]) & 0x3F);
      if (bytes_[c] < 0) {
        out.resize(before);
        return false;
      }
      out += static_cast<char>(bytes_[c]);
    }
    return true;
  }
  std::array<int, 0x180> bytes_;
};

class Fuse : public Decoder {
 public:
  void apply(Texts& texts) const override {
    std::string out;
    for (const auto& text : texts) out += text;
    texts = {std::move(out)};
  }
};

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(Texts& texts) const override {
    Regex::Scratch scratch(pattern_);
    std::vector<Span> matches;
    for (auto& text : texts) {
      matches.clear();
      pattern_.find_all(text, scratch, matches);
      for (auto match = matches.rbegin(); match != matches.rend(); ++match) {
        text.replace(match->begin, match->end - match->begin, content_);
      }
    }
  }

 private:
  Regex pattern_;
  std::string content_;
};

class StripDecoder : public Decoder {
 public:
  StripDecoder(std::string content, int64_t start, int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(Texts& texts) const override {
    for (auto& text : texts) {
      for (int64_t i = 0; i < start_ && text.starts_with(content_); ++i)
        text.erase(0, content_.size());
      for (int64_t i = 0; i < stop_ && text.ends_with(content_); ++i) {
        text.resize(text.size() - content_.size());
      }
    }
  }

 private:
  std::string content_;
  int64_t start_, stop_;
};

// Runs of <0xXX> tokens become bytes; a run that is not UTF-8 becomes one U+FFFD for each byte.
class ByteFallback : public Decoder {
 public:
  void apply(Texts& texts) const override {
    Texts out;
    std::string run;
    const auto flush = [&] {
      if (run.empty()) return;
      if (base::first_invalid_utf8(run) == run.npos) {
        out.push_back(run);
      } else {
        for (size_t i = 0; i < run.size(); ++i) out.push_back("\xEF\xBF\xBD");
      }
      run.clear();
    };
    for (auto& text : texts) {
      const int byte = byte_of(text);
      if (byte >= 0) {
        run += static_cast<char>(byte);
        continue;
      }
      flush();
      out.push_back(std::move(text));
    }
    flush();
    texts = std::move(out);
  }

 private:
  static int byte_of(const std::string& text) {
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
    int value = 0;
    for (const char c : {text[3], text[4]}) {
      const bool digit = c >= '0' && c <= '9';
      const char lower = static_cast<char>(c | 0x20);
      if (!digit && (lower < 'a' || lower > 'f')) return -1;
      value = value * 16 + (digit ? c - '0' : lower - 'a' + 10);
    }
    return value;
  }
};

class DecoderSequence : public Decoder {
 public:
  explicit DecoderSequence(std::vector<std::unique_ptr<const Decoder>> stages)
      : stages_(std::move(stages)) {}
  void apply(Texts& texts) const override {
    for (const auto& stage : stages_) stage->apply(texts);
  }

 private:
  std::vector<std::unique_ptr<const Decoder>> stages_;
};

using Made = std::unique_ptr<const Decoder>;

Made make_strip(const base::JsonNode& node) {
  const auto content = node.at("content");
  if (content.string().empty() || base::decode_utf8(content.string()).size() != 1) {
    content.wrong_type("one character");
  }
  return std::make_unique<StripDecoder>(content.string(), node.at("start").integer(0, 1 << 20),
                                        node.at("stop").integer(0, 1 << 20));
}

Made make_sequence(const base::JsonNode& node) {
  const auto list = node.at("decoders");
  std::vector<Made> stages;
  for (size_t i = 0; i < list.size(); ++i) stages.push_back(make_decoder(list.at(i)));
  return std::make_unique<DecoderSequence>(std::move(stages));
}

}  // namespace

Made make_decoder(const base::JsonNode& node) {
  using Node = const base::JsonNode&;
  static const ComponentTable<Decoder> table = {
      {"ByteFallback", [](Node) -> Made { return std::make_unique<ByteFallback>(); }},
      {"ByteLevel", [](Node) -> Made { return std::make_unique<ByteLevelDecoder>(); }},
      {"Fuse", [](Node) -> Made { return std::make_unique<Fuse>(); }},
      {"Replace",
       [](Node n) -> Made {
         return std::make_unique<ReplaceDecoder>(read_pattern(n.at("pattern")),
                                                 n.at("content").string());
       }},
      {"Sequence", make_sequence},
      {"Strip", make_strip},
  };
  return make_component(table, node, "decoder");
}

}  // namespace preimage::text
