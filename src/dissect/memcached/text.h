#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "dissect/dissector.h"

// memcached's text protocol (protocol.txt), a line at a time.

namespace baleen::dissect::memcached {

constexpr size_t kMaxLine = 8192;
constexpr uint64_t kMaxValue = 128 << 20;

/// How the arguments of a verb stand.
enum class Shape : uint8_t { kKeys, kStore, kCas, kCount, kKeyOnly, kPlain, kTouchGet, kMetaStore, kMeta };
struct Verb {
  std::string_view text;
  Shape shape;
};

struct Command {
  const Verb* verb = nullptr;
  bool ok = false, no_reply = false;
  std::string_view key, rest;
  std::optional<uint64_t> flags, expiry, cas, delta;
  uint64_t value = 0;  // bytes
  bool has_value = false;
};

/// `verb` is null for none of memcached's.
Command read_command(std::string_view line);

/// A reply line's kind by its first word.
enum class Got : uint8_t { kNone, kValue, kEnd, kStat, kStatus, kError, kNumber, kVersion, kMeta, kMetaValue };
/// `value`: bytes of the value that follows.
Got reply_kind(std::string_view line, uint64_t& value);

/// Whether the first word, as far as it is there, is a verb, or begins a reply that is like no other protocol's.
bool may_begin_line(std::string_view t, Direction d);
/// The word of a meta command or its answer that begins with a flag's letter: "q", "Oabc".
std::string_view flag_of(std::string_view words, char flag);
/// Whether a reply can be the one to a quiet meta command, which does not get the usual ones (protocol.txt, "The "q"
/// flag will hide the return line").
bool answers_quiet(const item::Item* item, std::string_view line);

}  // namespace baleen::dissect::memcached
