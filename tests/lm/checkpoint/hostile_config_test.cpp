// config.json and adapter_config.json of every fixture with parts replaced, dropped, cut and
// flipped: each is read, or refused as bad data in words; nothing else happens.
#include <gtest/gtest.h>

#include "checkpoint/adapter.hpp"
#include "encoder/encoder_config.hpp"
#include "lm/fixture.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/random.hpp"
#include "preimage/lm/checkpoint/model_config.hpp"
#include "preimage/lm/encoder/sentence_pipeline.hpp"
#include "preimage/lm/t5/t5.hpp"
#include "preimage/lm/t5/vec2text.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;
using base::Json;

class Mutations {
 public:
  Mutations(std::string text, const std::string& name)
      : text_(std::move(text)), tree_(Json::parse(text_)), random_(7, name, "mutations") {}

  // Every other one is a well-formed document with one odd value, the rest have odd bytes.
  std::string next() { return count_++ % 2 == 0 ? odd_value() : odd_bytes(); }

 private:
  uint64_t below(uint64_t bound) { return random_.below(bound, draws_++); }

  std::string odd_value() {
    static const std::vector<Json> odd = {nullptr,
                                          true,
                                          -1,
                                          0,
                                          1,
                                          2,
                                          3,
                                          7,
                                          1'000'000'007,
                                          INT64_MAX,
                                          INT64_MIN,
                                          1e308,
                                          -0.5,
                                          0.0,
                                          1e-300,
                                          "",
                                          "x",
                                          "é\n",
                                          Json::array(),
                                          Json::object(),
                                          Json::array({1}),
                                          Json::array({Json::array({nullptr})}),
                                          {{"type", "x"}},
                                          std::string(1000, 'a')};
    Json copy = tree_;
    Json* at = &copy;
    while (at->is_structured() && !at->empty()) {
      auto child = at->begin();
      std::advance(child, static_cast<int64_t>(below(at->size())));
      if (child->is_structured() && below(4) != 0) {
        at = &*child;
        continue;
      }
      if (below(6) == 0) {
        at->erase(child);
      } else {
        *child = odd[below(odd.size())];
      }
      break;
    }
    return copy.dump();
  }

  std::string odd_bytes() {
    auto text = text_;
    for (uint64_t times = 1 + below(3); times > 0 && !text.empty(); --times) {
      const auto at = below(text.size());
      switch (below(4)) {
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text.insert(at, text.substr(below(text.size()), below(20)));
          break;
        case 2:
          text.erase(at, below(20));
          break;
        default:
          text.insert(at, std::string(1 + below(3), "0123456789-{}[]\",:e"[below(19)]));
      }
    }
    return text;
  }

  std::string text_;
  Json tree_;
  base::RandomStream random_;
  uint64_t draws_ = 0, count_ = 0;
};

// How many of `count` variants were taken.
template <class Read>
int64_t taken(const fs::path& original, const fs::path& target, int64_t count, const Read& read) {
  Mutations mutations(base::read_file(original), original.parent_path().filename());
  int64_t out = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto text = mutations.next();
    fs::remove(target);  // a file cut to nothing is written to disk when it is closed
    std::ofstream(target, std::ios::binary) << text;
    try {
      read();
      ++out;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ExitCode::bad_data) << error.what() << "\n" << text;
    }
  }
  return out;
}

TEST(HostileConfig, OfDecoders) {
  for (const auto& family : fs::directory_iterator(fixture("families"))) {
    const Folder folder;
    const auto count = taken(family.path() / "config.json", folder / "config.json", 600,
                             [&] { read_model_config(folder.path()); });
    EXPECT_GT(count, 0) << family;
  }
}

TEST(HostileConfig, OfEncodersAndPipelines) {
  for (const std::string name : {"bert", "gtr", "t5_gated", "inversion", "corrector"}) {
    const Folder folder;
    fs::copy(fixture(name), folder.path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    const auto read = [&] {
      if (is_vec2text_folder(folder.path())) {
        read_vec2text_config(folder.path());
      } else if (is_encoder_folder(folder.path())) {
        read_encoder_config(folder.path());
      }
    };
    EXPECT_GT(taken(fixture(name) / "config.json", folder / "config.json", 600, read), 0) << name;
    if (!fs::exists(folder / "modules.json")) continue;
    for (const char* file :
         {"modules.json", "1_Pooling/config.json", "sentence_bert_config.json"}) {
      taken(fixture(name) / file, folder / file, 150,
            [&] { SentencePipeline(folder.path(), 32).load(); });
      fs::copy_file(fixture(name) / file, folder / file, fs::copy_options::overwrite_existing);
    }
  }
}

TEST(HostileConfig, OfAdapters) {
  for (const auto& adapter : fs::directory_iterator(fixture("adapters"))) {
    if (!fs::exists(adapter.path() / "adapter_config.json")) continue;  // expected values alone
    const Folder folder;
    fs::copy(adapter.path(), folder.path(),
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    const auto base = base::read_json(folder / "adapter_config.json")["base_model_name_or_path"];
    const auto model = read_model_config(fixture("families") / base.get<std::string>());
    const auto count = taken(adapter.path() / "adapter_config.json", folder / "adapter_config.json",
                             600, [&] { Adapter(folder.path(), model); });
    EXPECT_GT(count, 0) << adapter;
  }
}

}  // namespace
}  // namespace preimage::lm
