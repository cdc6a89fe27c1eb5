#include "dissect/http/head.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "dissect/http/chars.h"

namespace baleen::dissect::http {
namespace {

using item::Member;
using item::Value;

/// RFC 9112 2.1: the head ends with an empty line; 2.2: a lone LF is taken for a line end.
bool ends_head(const uint8_t* p, size_t lf) {
  if (lf == 0) return true;
  return p[lf - 1] == '\n' || (p[lf - 1] == '\r' && (lf == 1 || p[lf - 2] == '\n'));
}

void note(LineEnds& lines, size_t lf) {
  if (lines.count < LineEnds::kRoom) lines.at[lines.count] = static_cast<uint32_t>(lf);
  ++lines.count;
}

std::string_view known_name(Known k) {
  static constexpr std::string_view kNames[] = {
      "",       "connection", "content-encoding", "content-length",    "content-type",
      "cookie", "location",   "set-cookie",       "transfer-encoding", "upgrade"};
  return kNames[static_cast<size_t>(k)];
}

/// Whether a token of 6 bytes or more is this name without regard to case. Known names are letters and '-' in lower
/// case, so setting bit 5 of a token's characters folds their case and makes nothing else equal to them.
bool same_known(std::string_view token, std::string_view known) {
  const auto equal = [&]<class Word>(Word, size_t at) {
    constexpr auto kCaseBits = static_cast<Word>(0x2020202020202020u);
    Word a, b;
    std::memcpy(&a, token.data() + at, sizeof a);
    std::memcpy(&b, known.data() + at, sizeof b);
    return (a | kCaseBits) == b;
  };
  const size_t size = token.size();
  if (size < 8) return equal(uint32_t{}, 0) && equal(uint32_t{}, size - 4);
  for (size_t at = 0; at + 8 < size; at += 8)
    if (!equal(uint64_t{}, at)) return false;
  return equal(uint64_t{}, size - 8);
}

Known known_field(std::string_view name) {
  Known k = Known::kNone;
  switch (name.size()) {
    case 6: k = Known::kCookie; break;
    case 7: k = Known::kUpgrade; break;
    case 8: k = Known::kLocation; break;
    case 10: k = lower(name[0]) == 's' ? Known::kSetCookie : Known::kConnection; break;
    case 12: k = Known::kContentType; break;
    case 14: k = Known::kContentLength; break;
    case 16: k = Known::kContentEncoding; break;
    case 17: k = Known::kTransferEncoding; break;
    default: return Known::kNone;
  }
  return same_known(name, known_name(k)) ? k : Known::kNone;
}

bool is_version(std::string_view v) {  // RFC 9112 2.3; major version 1 only
  return v.size() == 8 && std::memcmp(v.data(), "HTTP/1.", 7) == 0 && is_digit(v[7]);
}

}  // namespace

size_t find_head_end(Bytes bytes, size_t from, LineEnds& lines) {
  const uint8_t* p = bytes.data();
  size_t i = from;
  size_t last = from;  // behind the LF before, as far as it is known: an empty line is two bytes at most
#ifdef __SSE2__
  const __m128i lf = _mm_set1_epi8('\n');
  for (; i + 16 <= bytes.size(); i += 16) {
    auto mask = static_cast<unsigned>(
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i)), lf)));
    for (; mask != 0; mask &= mask - 1) {
      const size_t at = i + static_cast<size_t>(__builtin_ctz(mask));
      note(lines, at);
      if (at - last < 2 && ends_head(p, at)) return at + 1;
      last = at + 1;
    }
  }
#endif
  for (; i < bytes.size(); ++i) {
    if (p[i] != '\n') continue;
    note(lines, i);
    if (i - last < 2 && ends_head(p, i)) return i + 1;
    last = i + 1;
  }
  return 0;
}

RequestLine parse_request_line(std::string_view line) {
  RequestLine r;
  // RFC 9112 3: the version is what follows the last space; white space inside the target is a client's fault.
  if (line.size() < 12 || !is_version(line.substr(line.size() - 8)) || line[line.size() - 9] != ' ') return r;
  r.version = line.substr(line.size() - 8);
  size_t method = 0;
  while (is_token_char(line[method])) ++method;  // ends at the space before the version at the latest
  if (method == 0 || method > kMaxMethod || line[method] != ' ') return r;
  r.method = line.substr(0, method);
  // A control character cannot begin a target; may_become_request_line() says so, too.
  if (method + 1 >= line.size() - 9 || static_cast<uint8_t>(line[method + 1]) < 0x20) return r;
  r.target = trim(line.substr(method + 1, line.size() - 9 - method - 1));
  r.ok = !r.target.empty();
  return r;
}

StatusLine parse_status_line(std::string_view line) {
  StatusLine s;
  // RFC 9112 4. Some servers leave the reason out, and the space before it with it.
  if (line.size() < 12 || !is_version(line.substr(0, 8)) || line[8] != ' ') return s;
  if (!is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11])) return s;
  if (line.size() > 12 && line[12] != ' ') return s;
  s.version = line.substr(0, 8);
  s.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  s.reason = line.size() > 13 ? line.substr(13) : std::string_view();
  s.ok = s.status >= 100;
  return s;
}

bool may_become_request_line(std::string_view start) {
  size_t method = 0;
  while (method < start.size() && is_token_char(start[method])) ++method;
  if (method > kMaxMethod) return false;
  if (method == start.size()) return true;
  if (method == 0 || start[method] != ' ') return false;
  // Every form of target (RFC 9112 3.2) begins with a visible character; TLS and binary protocols do not get here.
  return method + 1 == start.size() || static_cast<uint8_t>(start[method + 1]) >= 0x20;
}

bool may_become_status_line(std::string_view start) {
  static constexpr std::string_view kPattern = "HTTP/1.d ddd";
  if (start.size() >= kPattern.size())
    return std::memcmp(start.data(), kPattern.data(), 7) == 0 && is_digit(start[7]) && start[8] == ' ' &&
           start[9] >= '1' && start[9] <= '9' && is_digit(start[10]) && is_digit(start[11]);
  for (size_t i = 0; i < start.size() && i < kPattern.size(); ++i) {
    const bool fits = kPattern[i] == 'd' ? is_digit(start[i]) : start[i] == kPattern[i];
    if (!fits) return false;
  }
  return start.size() < 10 || start[9] != '0';
}

RequestLine guess_request_line(std::string_view line) {
  RequestLine r;
  const auto* const end = std::find_if_not(line.begin(), line.end(), is_token_char);
  r.method = line.substr(0, static_cast<size_t>(end - line.begin()));
  line.remove_prefix(r.method.size());
  if (const size_t version = line.rfind("HTTP/"); version != std::string_view::npos) {
    r.version = line.substr(version);
    line = line.substr(0, version);
  }
  r.target = trim(line);
  return r;
}

Probe probe_broken_head(std::string_view text) {
  constexpr size_t kLongest = 4096, kShortestMethod = 3;
  constexpr std::string_view kMethods[] = {"GET",     "HEAD",  "POST",    "PUT",  "DELETE",
                                           "OPTIONS", "TRACE", "CONNECT", "PATCH"};
  const auto is_capital = [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; };
  size_t capitals = 0;
  while (capitals < text.size() && is_capital(text[capitals])) ++capitals;
  if (capitals < kShortestMethod && capitals < text.size()) return Probe::kNo;
  for (size_t at = 0; at < std::min(text.size(), kLongest);) {
    const size_t end = text.find('\n', at);
    std::string_view line = text.substr(at, end == std::string_view::npos ? end : end - at);
    if (end != std::string_view::npos && line.ends_with('\r')) line.remove_suffix(1);
    for (size_t i = 0; i < line.size(); ++i) {
      const auto c = static_cast<uint8_t>(line[i]);
      const bool may_end_line = c == '\r' && i + 1 == line.size() && end == std::string_view::npos;
      if (c < 0x20 && c != '\t' && !may_end_line) return Probe::kNo;
    }
    if (end == std::string_view::npos) break;
    if (at == 0) {
      const bool known =
          std::find(std::begin(kMethods), std::end(kMethods), line.substr(0, capitals)) != std::end(kMethods);
      if (!known && line.find("HTTP/") == std::string_view::npos) return Probe::kNo;
    } else if (line.empty()) {
      return Probe::kYes;
    } else if (line.find(':') == 0 || line.find(':') == std::string_view::npos) {
      return Probe::kNo;
    }
    at = end + 1;
  }
  return text.size() >= kLongest ? Probe::kNo : Probe::kUnsure;
}

Probe probe_status_line(std::string_view text) {
  if (!may_become_status_line(text)) return Probe::kNo;
  return text.size() < 13                                          ? Probe::kUnsure
         : text[12] == ' ' || text[12] == '\r' || text[12] == '\n' ? Probe::kYes
                                                                   : Probe::kNo;
}

FieldParser::FieldParser(Arena& arena, size_t room, const char* end, bool crumbs)
    : arena_(arena), end_(end), room_(room), crumbs_(crumbs) {
  members_ = static_cast<Member*>(arena.allocate(room * sizeof(Member), alignof(Member)));
}

void FieldParser::line(std::string_view text) {
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  if (!text.empty() && is_blank(text.front())) {  // RFC 9112 5.2, obs-fold
    if (count_ == 0) return bad();
    append(last_, " ", trim(text));
    return;
  }
  size_t colon = token_size(text, static_cast<size_t>(end_ - text.data()));
  const std::string_view name = text.substr(0, colon);
  while (colon < text.size() && is_blank(text[colon])) ++colon;  // RFC 9112 5.1: to be refused; we only look
  if (name.empty() || colon == text.size() || text[colon] != ':') return bad();
  text.remove_prefix(colon + 1);
  // Most often there is one space in front and nothing behind.
  const bool as_usual = text.size() > 1 && text[0] == ' ' && !is_blank(text[1]) && !is_blank(text.back());
  add(name, as_usual ? text.substr(1) : trim(text));
}

Fields FieldParser::done() {
  for (uint32_t i = 0; more_ != nullptr && i < count_; ++i) join(i);
  for (uint8_t k = 1; k < static_cast<uint8_t>(Known::kCount); ++k)
    if (out_.has(static_cast<Known>(k))) out_.known[k] = members_[where_[k]].value.text();
  out_.members = {members_, count_};
  return out_;
}

void FieldParser::add(std::string_view name, std::string_view value) {
  // Names seldom come twice: only when their bit is set already are they compared.
  const auto first = static_cast<unsigned>(name.front() | 0x20), last = static_cast<unsigned>(name.back() | 0x20);
  const uint64_t bit = uint64_t{1} << ((name.size() * 7 + first + 3 * last) & 63);
  if ((seen_ & bit) != 0) {
    for (uint32_t i = 0; i < count_; ++i) {
      if (!alike(members_[i].name, name)) continue;
      return append(i, alike(name, "set-cookie") ? "\n" : crumbs_ && alike(name, "cookie") ? "; " : ",", value);
    }
  }
  seen_ |= bit;
  const Known k = known_field(name);
  if (k != Known::kNone) {
    out_.present |= 1u << static_cast<unsigned>(k);
    where_[static_cast<size_t>(k)] = count_;
  }
  last_ = count_;
  new (members_ + count_++) Member{name, value};
}

void FieldParser::append(uint32_t member, std::string_view separator, std::string_view text) {
  if (more_ == nullptr) more_ = static_cast<More*>(arena_.allocate(room_ * sizeof(More)));
  new (more_ + more_count_++) More{member, separator, text};
  last_ = member;
  out_.as_sent = false;
}

void FieldParser::join(uint32_t member) {
  std::string_view text = members_[member].value.text();
  size_t size = text.size();
  for (size_t i = 0; i < more_count_; ++i)
    size += more_[i].member == member ? more_[i].text.size() + more_[i].separator.size() : 0;
  if (size == text.size()) return;
  char* const joined = static_cast<char*>(arena_.allocate(size, 1));
  char* at = joined;
  const auto put = [&at](std::string_view part) {
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  };
  put(text);
  for (size_t i = 0; i < more_count_; ++i) {
    if (more_[i].member != member) continue;
    put(more_[i].separator);
    put(more_[i].text);
  }
  members_[member].value = std::string_view(joined, size);
}

Fields parse_fields(std::string_view text, size_t begin, std::span<const uint32_t> ends, Arena& arena) {
  FieldParser parser(arena, ends.size(), text.data() + text.size());
  for (const uint32_t end : ends) {
    parser.line(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parser.done();
}

ContentLength parse_content_length(std::string_view value) {
  ContentLength out;
  bool first = true;
  do {
    const std::string_view part = next_part(value, ',');
    if (part.empty() || part.size() > 18) return {};  // RFC 9110 8.6: no overflow, please
    uint64_t n = 0;
    for (const char c : part) {
      if (!is_digit(c)) return {};
      n = n * 10 + static_cast<uint64_t>(c - '0');
    }
    if (!first && n != out.value) return {};
    out = {true, n};
    first = false;
  } while (!value.empty());
  return out;
}

bool list_has(std::string_view list, std::string_view token) {
  while (!list.empty())
    if (alike(next_part(list, ','), token)) return true;
  return false;
}

std::string_view last_of(std::string_view list) {
  const size_t comma = list.rfind(',');
  return trim(comma == std::string_view::npos ? list : list.substr(comma + 1));
}

}  // namespace baleen::dissect::http
