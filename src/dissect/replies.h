#pragma once

#include "dissect/build.h"
#include "dissect/lines.h"

namespace baleen::dissect {

/// Replies of SMTP and FTP: a code of three digits and text; "250-" says that more lines follow (RFC 5321 4.2.1,
/// RFC 959 4.2). Remembers how far it has looked.
class ReplyScan {
 public:
  Measure measure(Bytes b) {
    const std::string_view t = as_text(b).substr(0, kMost);
    for (;;) {
      const size_t end = t.find('\n', std::max(line_, seen_));
      if (end == std::string_view::npos) {
        seen_ = static_cast<uint32_t>(t.size());
        if (t.size() < kMost) return Measure::need(t.size() + 1);
        // Of a reply that goes on and on the lines so far are one: to look for another in each of them would take long.
        return forget(line_ == 0 ? Measure::bad() : Measure::frame(line_));
      }
      const std::string_view line = t.substr(line_, end + 1 - line_);
      const bool coded =
          line.size() >= 4 && is_code(line) && (line[3] == ' ' || line[3] == '-' || line[3] == '\r' || line[3] == '\n');
      if (line_ == 0 && !coded) return forget(Measure::bad());
      if (coded && line[3] != '-') return forget(Measure::frame(end + 1));
      line_ = seen_ = static_cast<uint32_t>(end + 1);
    }
  }
  /// What was looked at is gone.
  void rewind() { line_ = seen_ = 0; }
  static bool is_code(std::string_view t) {
    return t.size() >= 3 && t[0] >= '1' && t[0] <= '5' && t[1] >= '0' && t[1] <= '5' && t[2] >= '0' && t[2] <= '9';
  }
  static int code_of(std::string_view t) { return (t[0] - '0') * 100 + (t[1] - '0') * 10 + (t[2] - '0'); }

 private:
  static constexpr size_t kMost = 64 << 10;
  Measure forget(Measure m) {
    line_ = seen_ = 0;
    return m;
  }
  uint32_t line_ = 0, seen_ = 0;
};

/// code, status (the code as text), text and lines of a reply. The text lives as long as the arena.
inline void describe_reply(std::string_view reply, MapOf& out, Arena& arena) {
  ListOf lines(arena);
  std::string_view first;
  for (std::string_view rest = reply; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
    std::string_view line = without_end(rest.substr(0, end));
    rest.remove_prefix(end);
    if (ReplyScan::is_code(line)) line.remove_prefix(std::min<size_t>(4, line.size()));
    if (lines.seen() == 0) first = line;
    lines.push(text_or_bytes(line));
  }
  out.add("code", ReplyScan::code_of(reply));
  out.add("status", reply.substr(0, 3));
  out.add("text", text_or_bytes(first));
  if (lines.seen() > 1) out.add("lines", lines.build());
}

}  // namespace baleen::dissect
