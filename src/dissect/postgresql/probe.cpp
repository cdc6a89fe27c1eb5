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

/// Whether a whole message of `size` bytes could stand at the front of `t`; kLikely for kinds that prove themselves.
Looks looks_like(std::string_view t, bool client, uint64_t& size) {
  if (t.empty()) return Looks::kCut;
  if (client ? !frontend_type(t[0]) : !backend_type(t[0])) return Looks::kNo;
  if (t.size() < 5) return Looks::kCut;
  const uint64_t length = load_be32(reinterpret_cast<const uint8_t*>(t.data()) + 1);
  if (length < 4 || length > (64 << 20)) return Looks::kNo;
  size = length + 1;
  const std::string_view body = t.substr(5, static_cast<size_t>(std::min<uint64_t>(length - 4, 4096)));
  const bool whole = body.size() == length - 4;
  const auto c_text = [&](bool may_be_empty) {  // one C string fills the message
    if (length < 5 + (may_be_empty ? 0 : 1)) return Looks::kNo;
    if (!printable(body.substr(0, body.size() - (whole ? 1 : 0)))) return Looks::kNo;
    if (!whole) return body.size() == 4096 ? Looks::kMaybe : Looks::kCut;
    return body.back() == 0 ? Looks::kLikely : Looks::kNo;
  };
  const auto of_length = [&](uint64_t n) { return length == n ? Looks::kMaybe : Looks::kNo; };
  if (client) switch (t[0]) {
      case 'Q': {
        const Looks l = c_text(true);
        if (l == Looks::kNo || body.empty()) return l;
        const char ch = body[0];
        return (ch >= 'A' && ch <= 'z') || ch == '(' || ch == '-' || ch == '/' || ch == ' ' || ch == '\n' ||
                       ch == '\t' || ch == ';' || ch == 0
                   ? l
                   : Looks::kNo;
      }
      case 'S':
      case 'H':
      case 'c':
      case 'X': return of_length(4);
      case 'D':
      case 'C':
        if (body.empty()) return length < 6 || length > 300 ? Looks::kNo : Looks::kCut;
        if (length < 6 || length > 300 || (body[0] != 'S' && body[0] != 'P')) return Looks::kNo;
        return !whole                                                           ? Looks::kCut
               : body.back() == 0 && printable(body.substr(1, body.size() - 2)) ? Looks::kMaybe
                                                                                : Looks::kNo;
      case 'P': {
        const size_t a = body.substr(0, 257).find('\0');
        if (a == std::string_view::npos) return body.size() > 256 || !printable(body) ? Looks::kNo : Looks::kCut;
        const size_t b = body.find('\0', a + 1);
        if (!printable(body.substr(0, a)) || !printable(body.substr(a + 1, b == body.npos ? b : b - a - 1)))
          return Looks::kNo;
        if (b == std::string_view::npos) return body.size() == 4096 ? Looks::kMaybe : Looks::kCut;
        if (body.size() < b + 3) return whole ? Looks::kNo : Looks::kCut;
        const uint64_t types = load_be16(reinterpret_cast<const uint8_t*>(&body[b + 1]));
        return length - 4 == b + 3 + 4 * types ? Looks::kLikely : Looks::kNo;
      }
      case 'B': return length >= 4 + 8 ? Looks::kMaybe : Looks::kNo;
      case 'E': {
        if (length < 9 || length > 300) return Looks::kNo;
        return !whole ? Looks::kCut : body.find('\0') == body.size() - 5 ? Looks::kMaybe : Looks::kNo;
      }
      case 'p': return Looks::kMaybe;
      default: return Looks::kMaybe;
    }
  switch (t[0]) {
    case 'Z':
      if (length != 5) return Looks::kNo;
      return body.empty()                                         ? Looks::kCut
             : body[0] == 'I' || body[0] == 'T' || body[0] == 'E' ? Looks::kLikely
                                                                  : Looks::kNo;
    case 'R':
      if (length < 8 || length > 2000) return Looks::kNo;
      if (body.size() < 4) return Looks::kCut;
      return load_be32(reinterpret_cast<const uint8_t*>(body.data())) <= 12
                 ? (length == 8 || length == 12 ? Looks::kLikely : Looks::kMaybe)
                 : Looks::kNo;
    case 'C': {
      if (length > 100) return Looks::kNo;
      const Looks l = c_text(false);
      return l == Looks::kNo || body.empty() || (body[0] >= 'A' && body[0] <= 'Z') ? l : Looks::kNo;
    }
    case 'E':
    case 'N': {
      if (body.size() < 2) return length < 7 ? Looks::kNo : Looks::kCut;
      if (body[0] != 'S') return Looks::kNo;
      if (body.size() < 12 && !whole) return Looks::kCut;
      for (const std::string_view word : {"ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "DEBUG", "INFO", "LOG"})
        if (body.substr(1).starts_with(word)) return Looks::kLikely;
      return Looks::kMaybe;  // the severity is translated
    }
    case 'S': {
      const size_t a = body.substr(0, 64).find('\0');
      if (a == std::string_view::npos) return printable(body) && body.size() < 64 ? Looks::kCut : Looks::kNo;
      return printable(body.substr(0, a)) && a > 0 ? (!whole             ? Looks::kCut
                                                      : body.back() == 0 ? Looks::kMaybe
                                                                         : Looks::kNo)
                                                   : Looks::kNo;
    }
    case 'K': return length >= 12 && length <= 8 + kMaxKey ? Looks::kMaybe : Looks::kNo;
    case 'I':
    case 's':
    case '1':
    case '2':
    case '3':
    case 'n':
    case 'c': return of_length(4);
    case 'T':
    case 'D':
    case 't': {
      if (length < 6) return Looks::kNo;
      if (body.size() < 2) return Looks::kCut;
      const uint64_t n = load_be16(reinterpret_cast<const uint8_t*>(body.data()));
      const uint64_t least = t[0] == 'T' ? 19 : 4;
      return n <= 1664 && length - 6 >= n * least && (n > 0 || length == 6) ? Looks::kMaybe : Looks::kNo;
    }
    case 'A': return length >= 10 ? Looks::kMaybe : Looks::kNo;
    default: return Looks::kMaybe;
  }
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
