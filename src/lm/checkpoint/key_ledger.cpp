#include "checkpoint/key_ledger.hpp"

#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::lm {

std::vector<std::string> KeyLedger::left_over(const base::Json& object) const {
  std::vector<std::string> keys;
  if (!object.is_object()) return keys;
  for (const auto& [key, value] : object.items()) {
    if (!asked_.contains(key)) keys.push_back(base::escape_text(key));
  }
  return keys;
}

std::string KeyLedger::note(const base::Json& object, const std::string& place) const {
  const auto keys = left_over(object);
  if (keys.empty()) return "";
  return base::str(place, ": not known here and not read: ", base::join(keys, ", "));
}

const std::vector<std::string_view>& idle_config_keys() {
  static const std::vector<std::string_view> keys = {
      // PreTrainedConfig
      "_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal",
      "_commit_hash", "_experts_implementation", "_name_or_path", "architectures",
      "attn_implementation", "auto_map", "chunk_size_feed_forward", "custom_pipelines", "dtype",
      "experts_implementation", "finetuning_task", "gradient_checkpointing", "id2label", "label2id",
      "model_type", "name_or_path", "num_labels", "output_attentions", "output_hidden_states",
      "prefix", "problem_type", "pruned_heads", "return_dict", "task_specific_params",
      "tf_legacy_loss", "tokenizer_class", "torch_dtype", "torchscript", "transformers_version",
      "trust_remote_code", "use_bfloat16", "use_cache",
      // generation
      "assistant_confidence_threshold", "assistant_lookbehind", "bad_words_ids",
      "begin_suppress_tokens", "bos_token_id", "decoder_start_token_id", "diversity_penalty",
      "do_sample", "early_stopping", "encoder_no_repeat_ngram_size", "encoder_repetition_penalty",
      "eos_token_id", "epsilon_cutoff", "eta_cutoff", "exponential_decay_length_penalty",
      "forced_bos_token_id", "forced_eos_token_id", "length_penalty", "max_length",
      "max_new_tokens", "min_length", "no_repeat_ngram_size", "num_assistant_tokens",
      "num_assistant_tokens_schedule", "num_beam_groups", "num_beams", "num_return_sequences",
      "output_scores", "pad_token_id", "remove_invalid_values", "repetition_penalty",
      "return_dict_in_generate", "sep_token_id", "suppress_tokens", "target_lookbehind",
      "temperature", "top_k", "top_p", "typical_p",
      // tools
      "hub_model_id", "model_name", "unsloth_fixed", "unsloth_version"};
  return keys;
}

}  // namespace preimage::lm
