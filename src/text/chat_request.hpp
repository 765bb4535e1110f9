// What a request for a conversation's text asks for, beside the variables of the template: the
// arguments of transformers' apply_chat_template.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "preimage/text/chat_template.hpp"

namespace preimage::text {

struct ChatRequest {
  OrderedJson messages;   // as a template sees them
  OrderedJson variables;  // the other members, in their order
  std::optional<std::string> chat_template;
  std::string continued;  // field of the last message that stays open; empty: none
  bool wants_mask = false;
};

// ExitCode::bad_data.
ChatRequest read_chat_request(const OrderedJson& request);

// Leaves the last message open: marks the end of its text, and cuts the rendered text there.
class OpenMessage {
 public:
  // Marks `request.messages`. `source`: the template, which must read the field at all.
  OpenMessage(ChatRequest& request, const std::string& source);
  // ExitCode::bad_data where the message does not stand in the text.
  std::string cut(std::string text) const;

 private:
  void mark(OrderedJson& content);
  std::string field_, final_;
};

}  // namespace preimage::text
