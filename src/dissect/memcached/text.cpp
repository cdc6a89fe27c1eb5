#include "dissect/memcached/text.h"

#include <algorithm>
#include <iterator>

#include "dissect/lines.h"

namespace baleen::dissect::memcached {
namespace {

constexpr Verb kVerbs[] = {
    {"get", Shape::kKeys},        {"gets", Shape::kKeys},     {"set", Shape::kStore},
    {"add", Shape::kStore},       {"replace", Shape::kStore}, {"append", Shape::kStore},
    {"prepend", Shape::kStore},   {"cas", Shape::kCas},       {"delete", Shape::kKeyOnly},
    {"incr", Shape::kCount},      {"decr", Shape::kCount},    {"touch", Shape::kCount},
    {"gat", Shape::kTouchGet},    {"gats", Shape::kTouchGet}, {"stats", Shape::kPlain},
    {"flush_all", Shape::kPlain}, {"version", Shape::kPlain}, {"verbosity", Shape::kPlain},
    {"quit", Shape::kPlain},      {"slabs", Shape::kPlain},   {"lru_crawler", Shape::kPlain},
    {"mg", Shape::kMeta},         {"ms", Shape::kMetaStore},  {"md", Shape::kMeta},
    {"ma", Shape::kMeta},         {"me", Shape::kMeta},       {"mn", Shape::kMeta},
};

const Verb* verb_of(std::string_view word) {
  for (const Verb& v : kVerbs)
    if (v.text == word) return &v;
  return nullptr;
}

}  // namespace

bool may_begin_line(std::string_view t, Direction d) {
  const FirstWord word(t, 11);
  const auto is = [&](std::string_view other) {
    return word.whole ? other == word.text : other.starts_with(word.text);
  };
  if (d == Direction::kToServer)
    return std::any_of(std::begin(kVerbs), std::end(kVerbs), [&](const Verb& v) { return is(v.text); });
  for (const std::string_view reply :
       {"VALUE", "STORED", "NOT_STORED", "NOT_FOUND", "DELETED", "TOUCHED", "STAT", "ITEM", "EXISTS", "END"})
    if (is(reply)) return true;
  return false;
}

Command read_command(std::string_view line) {
  Command c;
  std::string_view rest = without_end(line);
  c.verb = verb_of(next_word(rest));
  if (c.verb == nullptr) return c;
  c.rest = trimmed(rest);
  c.no_reply = c.rest == "noreply" || c.rest.ends_with(" noreply");
  c.ok = true;
  switch (c.verb->shape) {
    case Shape::kStore:
    case Shape::kCas: {
      c.key = next_word(rest);
      c.flags = number_of(next_word(rest));
      std::string_view expiry = next_word(rest);
      if (expiry.starts_with('-')) expiry.remove_prefix(1);
      c.expiry = number_of(expiry);
      const auto size = number_of(next_word(rest));
      if (c.verb->shape == Shape::kCas) c.cas = number_of(next_word(rest));
      c.ok = c.flags && c.expiry && size && *size <= kMaxValue && (c.verb->shape != Shape::kCas || c.cas);
      c.value = size.value_or(0);
      c.has_value = true;
      break;
    }
    case Shape::kMetaStore: {
      c.key = next_word(rest);
      const auto size = number_of(next_word(rest));
      c.ok = size && *size <= kMaxValue;
      c.value = size.value_or(0);
      c.has_value = true;
      break;
    }
    case Shape::kCount: {
      c.key = next_word(rest);
      std::string_view number = next_word(rest);
      if (number.starts_with('-')) number.remove_prefix(1);
      c.delta = number_of(number);
      c.ok = c.delta.has_value();
      break;
    }
    case Shape::kTouchGet:
      c.expiry = number_of(next_word(rest));
      c.key = next_word(rest);
      c.ok = c.expiry.has_value();
      break;
    case Shape::kPlain: return c;
    default: c.key = next_word(rest); break;
  }
  if (c.key.size() > 250 || (c.key.empty() && c.verb->text != "mn")) c.ok = false;
  return c;
}

Got reply_kind(std::string_view line, uint64_t& value) {
  std::string_view rest = without_end(line);
  const std::string_view word = next_word(rest);
  value = 0;
  if (word == "VALUE") {
    next_word(rest);
    const auto flags = number_of(next_word(rest)), size = number_of(next_word(rest));
    value = size.value_or(0);
    return flags && size && *size <= kMaxValue ? Got::kValue : Got::kNone;
  }
  if (word == "VA") {
    const auto size = number_of(next_word(rest));
    value = size.value_or(0);
    return size && *size <= kMaxValue ? Got::kMetaValue : Got::kNone;
  }
  if (word == "END") return Got::kEnd;
  if (word == "STAT" || word == "ITEM") return Got::kStat;
  for (const std::string_view s :
       {"STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "DELETED", "TOUCHED", "OK", "RESET", "BUSY"})
    if (word == s) return Got::kStatus;
  if (word == "ERROR" || word == "CLIENT_ERROR" || word == "SERVER_ERROR") return Got::kError;
  if (word == "VERSION") return Got::kVersion;
  for (const std::string_view s : {"HD", "EN", "NF", "NS", "EX", "MN", "ME"})
    if (word == s) return Got::kMeta;
  return number_of(word) ? Got::kNumber : Got::kNone;
}

std::string_view flag_of(std::string_view words, char flag) {
  for (std::string_view word = next_word(words); !word.empty(); word = next_word(words))
    if (word[0] == flag) return word;
  return {};
}

bool answers_quiet(const item::Item* item, std::string_view line) {
  const item::Value& request = item->request.payload;
  const std::string_view command = request["command"].text(), key = request["key"].text();
  std::string_view words = without_end(line), asked = request["args"].text();
  const std::string_view word = next_word(words);
  next_word(asked);
  if (word == "MN") return false;
  if (word == "EN") return false;
  // A plain ms always stores; whether md and ma hide what they did not find depends on the server's version.
  if (word == "NF") return command == "md" || command == "ma" || !flag_of(asked, 'M').empty();
  if (word == "HD" && command != "mg") return false;
  if (word == "VA") next_word(words);
  if (!flag_of(asked, 'k').empty() && flag_of(words, 'k').substr(0, 1) == "k" && flag_of(words, 'k').substr(1) != key)
    return false;
  const std::string_view opaque = flag_of(asked, 'O');
  return opaque.empty() || flag_of(words, 'O').empty() || flag_of(words, 'O') == opaque;
}

}  // namespace baleen::dissect::memcached
