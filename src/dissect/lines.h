#pragma once

#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "dissect/framed.h"

namespace baleen::dissect {

/// Finds the ends of lines in both directions without looking at a byte twice, however they drip in.
class LineScan {
 public:
  /// The line at the front with its end: a frame; what is longer than `most` is none, whether its end is there or not.
  Measure line(Direction d, Bytes b, size_t most) {
    uint32_t& seen = seen_[static_cast<size_t>(d)];
    const Bytes in = b.first(std::min(b.size(), most));
    const size_t from = seen < in.size() ? seen : 0;
    const void* const end = in.empty() ? nullptr : std::memchr(in.data() + from, '\n', in.size() - from);
    seen = 0;
    if (end != nullptr) return Measure::frame(static_cast<size_t>(static_cast<const uint8_t*>(end) - b.data()) + 1);
    if (b.size() >= most) return Measure::bad();
    seen = static_cast<uint32_t>(b.size());
    return Measure::need(b.size() + 1);
  }
  /// What was looked at is gone.
  void rewind(Direction d) { seen_[static_cast<size_t>(d)] = 0; }

 private:
  uint32_t seen_[2] = {0, 0};
};

/// A line without its CR LF, or LF.
inline std::string_view without_end(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// The next word of a line, taken off it; words are set apart by spaces and tabs.
inline std::string_view next_word(std::string_view& line) {
  size_t from = 0;
  while (from < line.size() && is_blank(line[from])) ++from;
  size_t to = from;
  while (to < line.size() && !is_blank(line[to])) ++to;
  const std::string_view word = line.substr(from, to - from);
  line.remove_prefix(to);
  return word;
}

/// The word that a line begins with, as far as it is there; of more than `longest` bytes not all. Looks no further, so
/// that every place of a stream can be asked for it.
struct FirstWord {
  std::string_view text;
  bool whole;  // it ends within what is there, or is longer than `longest`

  FirstWord(std::string_view t, size_t longest)
      : text(t.substr(0, longest + 1)), whole(text.size() < t.size() || t.size() > longest) {
    size_t end = 0;
    while (end < text.size() && !is_blank(text[end]) && text[end] != '\r' && text[end] != '\n') ++end;
    whole |= end < text.size();
    text = text.substr(0, end);
  }
};

inline std::string_view trimmed(std::string_view s) {
  while (!s.empty() && is_blank(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_blank(s.back())) s.remove_suffix(1);
  return s;
}

/// A header's value with the lines that are folded onto it (RFC 5322 2.2.3), each behind one space. `rest` is what
/// follows its first line, and is moved behind the folded ones.
inline std::string_view unfolded(std::string_view value, std::string_view& rest, Arena& arena) {
  value = trimmed(value);
  size_t size = value.size(), lines = 0;
  std::string_view scan = rest;
  while (!scan.empty() && (scan[0] == ' ' || scan[0] == '\t')) {
    const size_t end = std::min(scan.find('\n'), scan.size() - 1) + 1;
    size += end;
    ++lines;
    scan.remove_prefix(end);
  }
  if (lines == 0) return value;
  char* const out = static_cast<char*>(arena.allocate(size + lines, 1));
  char* at = std::copy(value.begin(), value.end(), out);
  while (lines-- > 0) {
    const size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
    const std::string_view more = trimmed(without_end(rest.substr(0, end)));
    rest.remove_prefix(end);
    if (more.empty()) continue;
    if (at != out) *at++ = ' ';
    at = std::copy(more.begin(), more.end(), at);
  }
  return {out, static_cast<size_t>(at - out)};
}

/// A decimal number that is all of the word.
inline std::optional<uint64_t> number_of(std::string_view word) {
  uint64_t n = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), n);
  if (word.empty() || error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return n;
}

}  // namespace baleen::dissect
