// How packets of MySQL are known among others, at the beginning of a connection and in its middle.

#include <algorithm>
#include <cstring>

#include "dissect/mysql/draft.h"
#include "dissect/mysql/mysql.h"
#include "dissect/text.h"

namespace baleen::dissect::mysql {

namespace {

bool starts_with_sql(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n("), text.size()));
  size_t n = 0;
  char word[10];
  while (n < text.size() && n < 9 && (text[n] | 0x20) >= 'a' && (text[n] | 0x20) <= 'z') {
    word[n] = static_cast<char>(text[n] | 0x20);
    ++n;
  }
  const std::string_view w(word, n);
  for (const std::string_view known :
       {"select", "insert", "update",  "delete",   "set",        "show",    "begin",    "commit",   "rollback",
        "create", "drop",   "alter",   "replace",  "call",       "use",     "with",     "explain",  "load",
        "start",  "lock",   "unlock",  "truncate", "grant",      "analyze", "describe", "desc",     "flush",
        "kill",   "do",     "prepare", "execute",  "savepoint",  "release", "xa",       "optimize", "check",
        "repair", "rename", "revoke",  "handler",  "deallocate", "reset",   "purge",    "help"})
    if (w == known) return true;
  return text.starts_with("/*") || text.starts_with("--");
}

/// A command in the middle of a connection. Those of few bytes say too little: what follows them, or is answered,
/// tells.
Probe probe_command(Bytes b, uint32_t length) {
  switch (b[4]) {
    case kQuery:
    case kPrepare: {
      size_t at = 5;
      if (b.size() < 7 && b.size() < size_t{length} + 4) return Probe::kUnsure;
      if (b.size() > 6 && b[5] == 0 && b[6] == 1) at = 7;
      if (length + 4 <= at) return Probe::kNo;
      const size_t window =
          std::min<size_t>(length + 4 - at, 48);  // judged by no more than this, however much is there
      if (b.size() < at + window) return Probe::kUnsure;
      const std::string_view text = as_text(b.subspan(at, window));
      return starts_with_sql(text) && is_text(text, true) ? Probe::kYes : Probe::kNo;
    }
    case kExecute:  // statement, flags, and how often: always once
      if (length < 10) return Probe::kNo;
      if (b.size() < 14) return Probe::kUnsure;
      return load_le32(&b[5]) != 0 && b[9] < 16 && load_le32(&b[10]) == 1 ? Probe::kYes : Probe::kNo;
    case kPing:
    case kClose:
    case kReset:
    case kFetch: {
      if (length != (b[4] == kPing ? 1u : b[4] == kFetch ? 9u : 5u)) return Probe::kNo;
      const size_t next = size_t{length} + 4;
      if (b.size() < next + 5) return b.size() > next + 3 && b[next + 3] != 0 ? Probe::kNo : Probe::kUnsure;
      const Bytes rest = b.subspan(next);
      const uint32_t following = load_le32(rest.data()) & kFull;
      return rest[3] == 0 && following != 0 ? probe_command(rest, following) : Probe::kNo;
    }
    default: return Probe::kNo;
  }
}

Probe probe_client(Bytes b) {
  if (b.size() < 5) return b.size() == 4 && b[3] > 2 ? Probe::kNo : Probe::kUnsure;
  const uint32_t length = load_le32(b.data()) & kFull;
  if (length == 0) return Probe::kNo;
  if (b[3] == 0) return probe_command(b, length);
  // A hello: capabilities, packet limit, character set and 23 bytes of nothing (the last 4 MariaDB's).
  if (b[3] > 2 || length < 32 || length > 4096) return Probe::kNo;
  if (b.size() < 13 + 19) return Probe::kUnsure;
  if ((load_le32(&b[4]) & kProtocol41) == 0) return Probe::kNo;
  return std::all_of(&b[13], &b[13] + 19, [](uint8_t x) { return x == 0; }) ? Probe::kYes : Probe::kNo;
}

Probe probe_server(Bytes b) {
  if (b.size() < 6) return b.size() >= 4 && b[3] > 1 ? Probe::kNo : Probe::kUnsure;
  const uint32_t length = load_le32(b.data()) & kFull;
  if (b[3] == 0 && b[4] == 10) {  // greeting: protocol 10, version, connection, salt, 0
    if (length < 20 || length > 1024 || b[5] < '0' || b[5] > '9') return Probe::kNo;
    size_t at = 5;
    while (at < b.size() && at < 5 + 128 && b[at] >= 32 && b[at] < 127) ++at;
    if (at == b.size()) return at < 5 + 128 ? Probe::kUnsure : Probe::kNo;
    if (b[at] != 0) return Probe::kNo;
    if (b.size() <= at + 13) return Probe::kUnsure;
    return b[at + 13] == 0 ? Probe::kYes : Probe::kNo;
  }
  if (b[3] != 1) return Probe::kNo;
  if (length == 7 && b[4] == 0)
    return b.size() < 11 ? Probe::kUnsure : b[8] == 0 && (b[7] & ~0x1F) == 0 ? Probe::kYes : Probe::kNo;
  if (length == 1 || (length == 2 && b[4] != 0)) {  // a number of columns, then "def"
    const size_t next = 4 + length;
    if (b.size() < next + 8) return Probe::kUnsure;
    return b[next + 3] == 2 && std::memcmp(&b[next + 4], "\3def", 4) == 0 ? Probe::kYes : Probe::kNo;
  }
  if (b[4] == 0xFF && length > 9) return b.size() < 8 ? Probe::kUnsure : b[7] == '#' ? Probe::kYes : Probe::kNo;
  return Probe::kNo;
}

}  // namespace

Probe Mysql::probe(const Input& in) {
  if (in.bytes.empty()) return Probe::kUnsure;
  return in.direction == Direction::kToServer ? probe_client(in.bytes) : probe_server(in.bytes);
}

Resync Mysql::resync(const Input& in) {
  const size_t size = in.bytes.size();
  bool& lost_here = lost_here_[static_cast<int>(in.direction)];
  for (size_t at = std::exchange(lost_here, false) ? 1 : 0; at < size; ++at) {
    constexpr size_t kView = 256;  // the same judgement however much is there
    const Bytes view = in.bytes.subspan(at, std::min(size - at, kView));
    const Probe p = probe(Input{in.direction, view, in.time, in.end_of_stream});
    if (p == Probe::kYes) return {at, true};
    if (p == Probe::kUnsure && size - at < kView) return {at, false};
  }
  return {size, false};
}

}  // namespace baleen::dissect::mysql
