#include "tokenizer/decoder.hpp"

#include <unordered_map>

#include "preimage/base/utf8.hpp"
#include "tokenizer/component.hpp"
#include "tokenizer/pre_tokenizer.hpp"

namespace preimage::text {
namespace {

using Texts = std::vector<std::string>;

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) return;
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

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

// The replacement becomes a space; in the first token it is dropped when it was put there.
class MetaspaceDecoder : public Decoder {
 public:
  MetaspaceDecoder(std::string replacement, bool prepended)
      : replacement_(std::move(replacement)), prepended_(prepended) {}
  void apply(Texts& texts) const override {
    for (size_t i = 0; i < texts.size(); ++i) {
      replace_all(texts[i], replacement_, i == 0 && prepended_ ? "" : " ");
    }
  }

 private:
  std::string replacement_;
  bool prepended_;
};

// Pieces that begin with the prefix join the one before them; others get a space.
class WordPieceDecoder : public Decoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleanup)
      : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void apply(Texts& texts) const override {
    static constexpr std::pair<const char*, const char*> kCleanups[] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < texts.size(); ++i) {
      auto& text = texts[i];
      if (i > 0 && text.starts_with(prefix_)) {
        text.erase(0, prefix_.size());
      } else if (i > 0) {
        text.insert(0, 1, ' ');
      }
      for (const auto& [from, to] : kCleanups) {
        if (cleanup_) replace_all(text, from, to);
      }
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

// An end-of-word suffix becomes a space, but in the last token.
class BpeDecoder : public Decoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(Texts& texts) const override {
    for (size_t i = 0; i < texts.size(); ++i) {
      replace_all(texts[i], suffix_, i + 1 == texts.size() ? "" : " ");
    }
  }

 private:
  std::string suffix_;
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
      const int byte = byte_piece(text);
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

Made make_metaspace_decoder(const base::JsonNode& node) {
  const auto scheme = node.string_or("prepend_scheme", "always");
  const bool prepended =
      node.find("prepend_scheme") ? scheme != "never" : node.boolean_or("add_prefix_space", true);
  return std::make_unique<MetaspaceDecoder>(node.at("replacement").string(), prepended);
}

}  // namespace

int byte_piece(const std::string& text) {
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

Made make_decoder(const base::JsonNode& node) {
  using Node = const base::JsonNode&;
  static const ComponentTable<Decoder> table = {
      {"BPEDecoder",
       [](Node n) -> Made { return std::make_unique<BpeDecoder>(n.string_or("suffix", "</w>")); }},
      {"ByteFallback", [](Node) -> Made { return std::make_unique<ByteFallback>(); }},
      {"ByteLevel", [](Node) -> Made { return std::make_unique<ByteLevelDecoder>(); }},
      {"Fuse", [](Node) -> Made { return std::make_unique<Fuse>(); }},
      {"Metaspace", make_metaspace_decoder},
      {"Replace",
       [](Node n) -> Made {
         return std::make_unique<ReplaceDecoder>(read_pattern(n.at("pattern")),
                                                 n.at("content").string());
       }},
      {"Sequence", make_sequence},
      {"Strip", make_strip},
      {"WordPiece",
       [](Node n) -> Made {
         return std::make_unique<WordPieceDecoder>(n.string_or("prefix", "##"),
                                                   n.boolean_or("cleanup", true));
       }},
  };
  return make_component(table, node, "decoder");
}

}  // namespace preimage::text
