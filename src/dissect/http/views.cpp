#include "dissect/http/views.h"

#include <algorithm>
#include <optional>

#include "dissect/http/chars.h"
#include "dissect/text.h"

namespace baleen::dissect::http {
namespace {

using item::Member;
using item::Value;

int hex(char c) {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// Percent-decoding as Go's url.QueryUnescape (`plus`) and PathUnescape do it: nothing for a broken escape.
std::optional<std::string_view> unescape(std::string_view text, bool plus, Arena& arena) {
  const bool escaped = text.find('%') != std::string_view::npos;
  if (!escaped && (!plus || text.find('+') == std::string_view::npos)) return text;
  char* const out = static_cast<char*>(arena.allocate(text.size(), 1));
  size_t size = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && plus) {
      c = ' ';
    } else if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex(text[i + 1]), low = hex(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high << 4 | low);
      i += 2;
    }
    out[size++] = c;
  }
  return std::string_view(out, size);
}

/// Pairs in the order in which they came, until they are made into a map or a list.
class Pairs {
 public:
  Pairs(Arena& arena, size_t room) : arena_(arena), room_(std::min(room, kMaxPairs)) {
    pairs_ = static_cast<Member*>(arena.allocate(room_ * sizeof(Member), alignof(Member)));
  }
  bool full() const { return count_ == room_; }
  void add(std::string_view name, Value value) {
    if (!full()) new (pairs_ + count_++) Member{name, value};
  }

  /// Values of a repeated name joined into one text (`joined`), or made a list. In place: what was merged moves away.
  Value map(bool joined) {
    size_t kept = 0;
    for (size_t i = 0; i < count_; ++i) {
      if (pairs_[i].name.data() == kTaken) continue;
      Member m = pairs_[i];
      if (const size_t same = repeats(i); same > 0) m.value = joined ? join(i, same) : list(i, same);
      pairs_[kept++] = m;
    }
    return Value::map({pairs_, kept});
  }

  Value list_of_pairs() {
    const auto list = arena_.array<Value>(count_);
    const auto members = arena_.array<Member>(count_ * 2);
    for (size_t i = 0; i < count_; ++i) {
      members[i * 2] = {"name", pairs_[i].name};
      members[i * 2 + 1] = {"value", pairs_[i].value};
      list[i] = Value::map(members.subspan(i * 2, 2));
    }
    return Value::list(list);
  }

 private:
  static constexpr const char* kTaken = "";

  size_t repeats(size_t first) const {
    size_t n = 0;
    for (size_t i = first + 1; i < count_; ++i) n += same(first, i);
    return n;
  }
  bool same(size_t a, size_t b) const { return pairs_[b].name.data() != kTaken && pairs_[a].name == pairs_[b].name; }
  void take(size_t i) { pairs_[i].name = std::string_view(kTaken, 0); }

  Value list(size_t first, size_t same_count) {
    const auto values = arena_.array<Value>(same_count + 1);
    size_t n = 0;
    values[n++] = pairs_[first].value;
    for (size_t i = first + 1; i < count_; ++i) {
      if (!same(first, i)) continue;
      values[n++] = pairs_[i].value;
      take(i);
    }
    return Value::list(values);
  }

  Value join(size_t first, size_t same_count) {
    size_t size = pairs_[first].value.size() + same_count;
    for (size_t i = first + 1; i < count_; ++i) size += same(first, i) ? pairs_[i].value.size() : 0;
    char* const out = static_cast<char*>(arena_.allocate(size, 1));
    char* at = std::copy_n(pairs_[first].value.text().data(), pairs_[first].value.size(), out);
    for (size_t i = first + 1; i < count_; ++i) {
      if (!same(first, i)) continue;
      *at++ = ',';
      const std::string_view text = pairs_[i].value.text();
      at = std::copy(text.begin(), text.end(), at);
      take(i);
    }
    return std::string_view(out, size);
  }

  Arena& arena_;
  size_t room_;
  Member* pairs_;
  size_t count_ = 0;
};

/// How often there is one, up to the most that anybody makes room for.
size_t count_of(std::string_view text, char c) {
  size_t n = 0;
  for (size_t at = text.find(c); at != std::string_view::npos && n < kMaxPairs; at = text.find(c, at + 1)) ++n;
  return n;
}

void add_urlencoded(std::string_view text, Pairs& pairs, Arena& arena) {
  while (!text.empty() && !pairs.full()) {
    const size_t amp = text.find('&');
    const std::string_view pair = text.substr(0, amp);
    text = amp == std::string_view::npos ? std::string_view() : text.substr(amp + 1);
    if (pair.empty() || pair.find(';') != std::string_view::npos) continue;
    const size_t equals = pair.find('=');
    const auto name = unescape(pair.substr(0, equals), true, arena);
    const auto value =
        unescape(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true, arena);
    if (name && value) pairs.add(*name, text_or_bytes(*value));
  }
}

void add_cookie(std::string_view pair, Pairs& pairs) {
  pair = trim(pair);
  const size_t equals = pair.find('=');
  if (pair.empty() || equals == 0) return;
  std::string_view value = equals == std::string_view::npos ? std::string_view() : trim(pair.substr(equals + 1));
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
  pairs.add(trim(pair.substr(0, equals)), value);
}

/// What stands between two delimiters.
Part parse_part(std::string_view text) {
  Part part;
  for (;;) {
    const size_t lf = text.find('\n');
    std::string_view line = text.substr(0, lf);
    text = lf == std::string_view::npos ? std::string_view() : text.substr(lf + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) break;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = trim(line.substr(0, colon)), value = trim(line.substr(colon + 1));
    if (alike(name, "content-disposition")) part.disposition = value;
    if (alike(name, "content-type")) part.type = value;
  }
  if (text.ends_with("\n")) text.remove_suffix(1);
  if (text.ends_with("\r")) text.remove_suffix(1);
  part.body = text;
  return part;
}

}  // namespace

Target parse_target(std::string_view target, Arena& arena) {
  if (target.empty()) return {};
  std::string_view rest = target;
  bool authority = false;
  if (target.front() != '/') {  // RFC 9112 3.2.2, absolute-form
    const size_t scheme = target.find("://");
    if (scheme == std::string_view::npos || scheme == 0 ||
        !std::all_of(target.begin(), target.begin() + static_cast<ptrdiff_t>(scheme), is_token_char))
      return {target, {}};
    const size_t end = target.find_first_of("/?#", scheme + 3);
    rest = end == std::string_view::npos ? std::string_view() : target.substr(end);
    authority = true;
  }
  size_t end = std::min(rest.find('?'), rest.size());
  end = std::min(rest.substr(0, end).find('#'), end);
  Target out;
  out.path = rest.substr(0, end);
  if (end < rest.size() && rest[end] == '?') out.query = rest.substr(end + 1, rest.find('#', end) - end - 1);
  const auto decoded = unescape(out.path, false, arena);
  // Go refuses to parse a URL with a broken escape, and the reference then shows the whole of it as the path.
  if (!decoded) return {target, out.query};
  out.path = *decoded;
  if (authority && out.path.empty()) out.path = "";
  return out;
}

Value path_segments(std::string_view path, Arena& arena) {
  const size_t first = path.find('/');
  if (first == std::string_view::npos) return Value::list({});
  path.remove_prefix(first + 1);
  const size_t count = std::min(count_of(path, '/') + 1, kMaxPairs);
  auto* const segments = static_cast<Value*>(arena.allocate(count * sizeof(Value), alignof(Value)));
  for (size_t i = 0; i < count; ++i) {
    const size_t slash = i + 1 < count ? path.find('/') : std::string_view::npos;
    new (segments + i) Value(path.substr(0, slash));
    if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
  }
  return Value::list({segments, count});
}

Value query_map(std::string_view query, Arena& arena) {
  if (query.empty()) return Value::map({});
  Pairs pairs(arena, count_of(query, '&') + 1);
  add_urlencoded(query, pairs, arena);
  return pairs.map(false);
}

Value request_cookies(std::string_view field, Arena& arena) {
  if (field.empty()) return Value::map({});
  Pairs pairs(arena, count_of(field, ';') + 1);
  while (!field.empty() && !pairs.full()) add_cookie(next_part(field, ';'), pairs);
  return pairs.map(true);
}

Value response_cookies(std::string_view fields, Arena& arena) {
  if (fields.empty()) return Value::map({});
  Pairs pairs(arena, count_of(fields, '\n') + 1);
  while (!fields.empty() && !pairs.full()) {
    std::string_view one = next_part(fields, '\n');
    add_cookie(next_part(one, ';'), pairs);
  }
  return pairs.map(true);
}

Value urlencoded_params(std::string_view body, Arena& arena) {
  if (body.empty()) return Value::list({});
  Pairs pairs(arena, count_of(body, '&') + 1);
  add_urlencoded(body, pairs, arena);
  return pairs.list_of_pairs();
}

Parts::Parts(std::string_view body, std::string_view boundary) {
  if (boundary.empty() || boundary.size() > 70) return;
  std::memcpy(delimiter_, "\n--", 3);
  std::memcpy(delimiter_ + 3, boundary.data(), boundary.size());
  size_ = boundary.size() + 3;
  const std::string_view first = between().substr(1);
  size_t at = body.starts_with(first) ? first.size() : body.find(between());
  if (at == std::string_view::npos) return;
  if (!body.starts_with(first)) at += size_;
  rest_ = body.substr(at);
  more_ = true;
}

bool Parts::next(Part& part) {
  if (!more_) return false;
  closed_ = rest_.starts_with("--");
  const size_t line_end = rest_.find('\n');
  more_ = !closed_ && line_end != std::string_view::npos;
  if (!more_) return false;
  const size_t end = rest_.find(between(), line_end);
  more_ = end != std::string_view::npos;
  // The line break before a delimiter is the delimiter's; a part without header fields begins with it.
  part = parse_part(rest_.substr(line_end + 1, more_ ? end - line_end : std::string_view::npos));
  rest_ = more_ ? rest_.substr(end + size_) : std::string_view();
  return true;
}

Value multipart_params(std::string_view body, std::string_view boundary, Arena& arena) {
  Parts parts(body, boundary);
  Part part;
  if (!parts.next(part)) return Value::list({});
  const auto list = arena.array<Value>(kMaxPairs);
  size_t count = 0;
  do {
    const auto members = arena.array<Member>(4);
    members[0] = {"name", parameter(part.disposition, "name")};
    members[1] = {"value", text_or_bytes(part.body)};
    members[2] = {"fileName", parameter(part.disposition, "filename")};
    members[3] = {"contentType", part.type};
    list[count++] = Value::map(members);
  } while (count < kMaxPairs && parts.next(part));
  return Value::list(list.first(count));
}

std::string_view media_type(std::string_view content_type, Arena& arena) {
  const std::string_view type = next_part(content_type, ';');
  if (std::none_of(type.begin(), type.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) return type;
  char* const out = static_cast<char*>(arena.allocate(type.size(), 1));
  std::transform(type.begin(), type.end(), out, lower);
  return {out, type.size()};
}

std::string_view parameter(std::string_view field, std::string_view name) {
  next_part(field, ';');
  while (!field.empty()) {
    field = trim(field);
    const size_t equals = field.find('=');
    if (equals == std::string_view::npos) return {};
    const std::string_view this_name = trim(field.substr(0, equals));
    field = trim(field.substr(equals + 1));
    std::string_view value;
    if (!field.empty() && field.front() == '"') {  // RFC 9110 5.6.4; escapes inside are left as they are
      size_t end = 1;
      while (end < field.size() && field[end] != '"') end += field[end] == '\\' ? 2 : 1;
      end = std::min(end, field.size());
      value = field.substr(1, end - 1);
      field = field.substr(std::min(end + 1, field.size()));
      next_part(field, ';');
    } else {
      value = next_part(field, ';');
    }
    if (alike(this_name, name)) return value;
  }
  return {};
}

Value text_or_bytes(std::string_view text) { return is_utf8(text) ? Value(text) : Value::bytes(as_bytes(text)); }

}  // namespace baleen::dissect::http
