// How messages of PostgreSQL are known among others, at the beginning of a connection and in its middle.

#include <algorithm>

#include "dissect/postgresql/draft.h"
#include "dissect/postgresql/postgresql.h"
#include "dissect/text.h"

namespace baleen::dissect::postgresql {

namespace {

enum class Looks : uint8_t { kNo, kMaybe, kLikely, kCut };

bool printable(std::string_view t) {
  return is_text(t, true) && std::all_of(t.begin(), t.end(), [](char ch) {
           return static_cast<uint8_t>(ch) >= 32 || ch == '\n' || ch == '\r' || ch == '\t';
         });
}

constexpr size_t kMostLooked = 4096;  // bytes of a message that are looked at

/// What could be a message: its content as far as it is there, and its length with the four bytes that say it.
struct Candidate {
  std::string_view body;
  uint64_t length;
  bool whole() const { return body.size() == length - 4; }
  Looks of_length(uint64_t n) const { return length == n ? Looks::kMaybe : Looks::kNo; }
  uint16_t number(size_t at) const { return load_be16(reinterpret_cast<const uint8_t*>(body.data()) + at); }
};

/// One C string that fills the message.
Looks one_text(const Candidate& c, bool may_be_empty) {
  if (c.length < 5 + (may_be_empty ? 0 : 1)) return Looks::kNo;
  if (!printable(c.body.substr(0, c.body.size() - (c.whole() ? 1 : 0)))) return Looks::kNo;
  if (!c.whole()) return c.body.size() == kMostLooked ? Looks::kMaybe : Looks::kCut;
  return c.body.back() == 0 ? Looks::kLikely : Looks::kNo;
}

Looks query(const Candidate& c) {
  const Looks looks = one_text(c, true);
  if (looks == Looks::kNo || c.body.empty()) return looks;
  const char first = c.body[0];
  const bool begins =
      (first >= 'A' && first <= 'z') || std::string_view("(-/ \n\t;\0", 8).find(first) != std::string_view::npos;
  return begins ? looks : Looks::kNo;
}

/// Describe and Close: of a statement or a portal.
Looks describe(const Candidate& c) {
  if (c.length < 6 || c.length > 300) return Looks::kNo;
  if (c.body.empty()) return Looks::kCut;
  if (c.body[0] != 'S' && c.body[0] != 'P') return Looks::kNo;
  if (!c.whole()) return Looks::kCut;
  return c.body.back() == 0 && printable(c.body.substr(1, c.body.size() - 2)) ? Looks::kMaybe : Looks::kNo;
}

/// Parse: a name, a query, the types of its parameters.
Looks parse(const Candidate& c) {
  const std::string_view body = c.body;
  const size_t name = body.substr(0, 257).find('\0');
  if (name == std::string_view::npos) return body.size() > 256 || !printable(body) ? Looks::kNo : Looks::kCut;
  const size_t end = body.find('\0', name + 1);
  if (!printable(body.substr(0, name)) || !printable(body.substr(name + 1, end == body.npos ? end : end - name - 1)))
    return Looks::kNo;
  if (end == std::string_view::npos) return body.size() == kMostLooked ? Looks::kMaybe : Looks::kCut;
  if (body.size() < end + 3) return c.whole() ? Looks::kNo : Looks::kCut;
  return c.length - 4 == end + 3 + 4 * uint64_t{c.number(end + 1)} ? Looks::kLikely : Looks::kNo;
}

/// Execute: a portal, and how many rows.
Looks execute(const Candidate& c) {
  if (c.length < 9 || c.length > 300) return Looks::kNo;
  if (!c.whole()) return Looks::kCut;
  return c.body.find('\0') == c.body.size() - 5 ? Looks::kMaybe : Looks::kNo;
}

Looks from_client(char type, const Candidate& c) {
  switch (type) {
    case 'Q': return query(c);
    case 'S':
    case 'H':
    case 'c':
    case 'X': return c.of_length(4);
    case 'D':
    case 'C': return describe(c);
    case 'P': return parse(c);
    case 'B': return c.length >= 4 + 8 ? Looks::kMaybe : Looks::kNo;
    case 'E': return execute(c);
    default: return Looks::kMaybe;
  }
}

/// ReadyForQuery.
Looks ready(const Candidate& c) {
  if (c.length != 5) return Looks::kNo;
  if (c.body.empty()) return Looks::kCut;
  return c.body[0] == 'I' || c.body[0] == 'T' || c.body[0] == 'E' ? Looks::kLikely : Looks::kNo;
}

Looks authentication(const Candidate& c) {
  if (c.length < 8 || c.length > 2000) return Looks::kNo;
  if (c.body.size() < 4) return Looks::kCut;
  if (c.number(0) != 0 || c.number(2) > 12) return Looks::kNo;
  return c.length == 8 || c.length == 12 ? Looks::kLikely : Looks::kMaybe;
}

Looks command_complete(const Candidate& c) {
  if (c.length > 100) return Looks::kNo;
  const Looks looks = one_text(c, false);
  return looks == Looks::kNo || c.body.empty() || (c.body[0] >= 'A' && c.body[0] <= 'Z') ? looks : Looks::kNo;
}

/// ErrorResponse and NoticeResponse.
Looks notice(const Candidate& c) {
  if (c.body.size() < 2) return c.length < 7 ? Looks::kNo : Looks::kCut;
  if (c.body[0] != 'S') return Looks::kNo;
  if (c.body.size() < 12 && !c.whole()) return Looks::kCut;
  for (const std::string_view word : {"ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "DEBUG", "INFO", "LOG"})
    if (c.body.substr(1).starts_with(word)) return Looks::kLikely;
  return Looks::kMaybe;  // the severity is translated
}

/// ParameterStatus: a name and a value.
Looks parameter(const Candidate& c) {
  const size_t name = c.body.substr(0, 64).find('\0');
  if (name == std::string_view::npos) return printable(c.body) && c.body.size() < 64 ? Looks::kCut : Looks::kNo;
  if (name == 0 || !printable(c.body.substr(0, name))) return Looks::kNo;
  if (!c.whole()) return Looks::kCut;
  return c.body.back() == 0 ? Looks::kMaybe : Looks::kNo;
}

/// A number of fields of at least so many bytes each.
Looks fields(const Candidate& c, uint64_t least) {
  if (c.length < 6) return Looks::kNo;
  if (c.body.size() < 2) return Looks::kCut;
  const uint64_t n = c.number(0);
  return n <= 1664 && c.length - 6 >= n * least && (n > 0 || c.length == 6) ? Looks::kMaybe : Looks::kNo;
}

Looks from_server(char type, const Candidate& c) {
  switch (type) {
    case 'Z': return ready(c);
    case 'R': return authentication(c);
    case 'C': return command_complete(c);
    case 'E':
    case 'N': return notice(c);
    case 'S': return parameter(c);
    case 'K': return c.length >= 12 && c.length <= 8 + kMaxKey ? Looks::kMaybe : Looks::kNo;
    case 'I':
    case 's':
    case '1':
    case '2':
    case '3':
    case 'n':
    case 'c': return c.of_length(4);
    case 'T': return fields(c, 19);
    case 'D':
    case 't': return fields(c, 4);
    case 'A': return c.length >= 10 ? Looks::kMaybe : Looks::kNo;
    default: return Looks::kMaybe;
  }
}

/// Whether a whole message of `size` bytes could stand at the front of `t`; kLikely for kinds that prove themselves.
Looks looks_like(std::string_view t, bool client, uint64_t& size) {
  if (t.empty()) return Looks::kCut;
  if (client ? !frontend_type(t[0]) : !backend_type(t[0])) return Looks::kNo;
  if (t.size() < 5) return Looks::kCut;
  const uint64_t length = load_be32(reinterpret_cast<const uint8_t*>(t.data()) + 1);
  if (length < 4 || length > (64 << 20)) return Looks::kNo;
  size = length + 1;
  const Candidate c{t.substr(5, static_cast<size_t>(std::min<uint64_t>(length - 4, kMostLooked))), length};
  return client ? from_client(t[0], c) : from_server(t[0], c);
}

constexpr size_t kProbeView = 16 << 10;  // bytes by which a place proves itself, or does not

/// Messages in a row from the front: kYes when they prove themselves, kUnsure when more bytes may.
Probe looks_like_messages(std::string_view t, bool client) {
  for (int good = 0; good < 8; ++good) {
    uint64_t size = 0;
    switch (looks_like(t, client, size)) {
      case Looks::kNo: return Probe::kNo;
      case Looks::kLikely: return Probe::kYes;
      case Looks::kCut: return Probe::kUnsure;
      case Looks::kMaybe: break;
    }
    if (good >= 3) return Probe::kYes;
    if (size > kProbeView) return Probe::kNo;
    if (size >= t.size()) return Probe::kUnsure;
    t.remove_prefix(static_cast<size_t>(size));
  }
  return Probe::kYes;
}

}  // namespace

Probe Postgresql::probe(const Input& in) {
  const std::string_view t = as_text(in.bytes);
  if (t.empty()) return Probe::kUnsure;
  const bool client = in.direction == Direction::kToServer;
  if (client && t[0] == 0) {
    if (t.size() < 8) return t.size() > 1 && t[1] != 0 ? Probe::kNo : Probe::kUnsure;
    const uint32_t size = load_be32(in.bytes.data()), code = load_be32(in.bytes.data() + 4);
    if (code == kSslRequest || code == kGssRequest) return size == 8 ? Probe::kYes : Probe::kNo;
    if (code == kCancelRequest) return size >= 16 && size <= 268 ? Probe::kYes : Probe::kNo;
    if (code >> 16 != 3 || (code & 0xFFFF) > 9999 || size < 9 || size > 10000) return Probe::kNo;
    if (t.size() < 13) return Probe::kUnsure;
    for (const std::string_view name :
         {"user", "data", "repl", "opti", "appl", "clie", "exte", "_pq_", "Date", "Time", "geqo"})
      if (t.substr(8, 4) == name) return Probe::kYes;
    return Probe::kNo;
  }
  return looks_like_messages(t, client);
}

Resync Postgresql::resync(const Input& in) {
  const bool client = in.direction == Direction::kToServer;
  const std::string_view t = as_text(in.bytes);
  bool& lost_here = lost_here_[static_cast<int>(in.direction)];
  for (size_t at = std::exchange(lost_here, false) ? 1 : 0; at < t.size(); ++at) {
    const Probe p = looks_like_messages(t.substr(at, kProbeView), client);
    if (p == Probe::kYes) return {at, true};
    if (p == Probe::kUnsure && t.size() - at < kProbeView) return {at, false};
  }
  return {t.size(), false};
}

}  // namespace baleen::dissect::postgresql
