// JSON in the order of its text, with integers of any size.
#include <vector>

#include "preimage/base/error.hpp"
#include "preimage/text/chat_template.hpp"

namespace preimage::text {
namespace {

class OrderedReader : public nlohmann::json_sax<OrderedJson> {
 public:
  OrderedJson take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  // Also what is written as an integer and fits no 64 bits.
  bool number_float(number_float_t value, const string_t& text) override {
    if (text.find_first_of(".eE") != text.npos) return put(value);
    return put(OrderedJson::binary({text.begin(), text.end()}));
  }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(OrderedJson::object()); }
  bool start_array(std::size_t) override { return open(OrderedJson::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  OrderedJson* place(OrderedJson value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    auto& member = (*open_.back())[key_];
    member = std::move(value);
    return &member;
  }
  bool put(OrderedJson value) {
    place(std::move(value));
    return true;
  }
  bool open(OrderedJson container) {
    open_.push_back(place(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  OrderedJson root_;
  std::vector<OrderedJson*> open_;  // only the innermost grows, so the pointers stay good
  std::string key_;
};

}  // namespace

OrderedJson parse_ordered(std::string_view json, const std::string& place) {
  OrderedReader reader;
  if (!OrderedJson::sax_parse(json, &reader)) throw base::data_error(place + ": not valid JSON");
  return reader.take();
}

}  // namespace preimage::text
