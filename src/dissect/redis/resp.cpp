#include "dissect/redis/resp.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "dissect/text.h"

namespace baleen::dissect::redis {

using item::Member;
using item::Value;

struct RespReader::Frame {
  Frame* up;
  Value* values;
  uint64_t left;  // elements still to come; of a streamed one never to be reached
  uint32_t stored, room;
  char type;
};

/// The bytes at hand, and how many of them are read.
struct RespReader::Cursor {
  const uint8_t* b;
  size_t size;
  size_t at = 0;
  size_t left() const { return size - at; }
  /// Whether CR LF stands so far on. REQUIRES: that is there.
  bool ends_line(size_t ahead) const { return b[at + ahead] == '\r' && b[at + ahead + 1] == '\n'; }
  /// Whether the value at hand says "?" for its length.
  bool is_streamed() const { return left() > 1 && b[at + 1] == '?'; }
};

/// What a token came to.
struct RespReader::Turn {
  enum Kind : uint8_t {
    kNext,      // it is read, and another one may follow
    kComplete,  // the outermost value is whole
    kWait,      // `amount` bytes of it have to be there (0: any more)
    kSkip,      // `amount` bytes need not be
    kBad,
  };
  Kind kind;
  uint64_t amount = 0;
  static Turn done(bool complete) { return {complete ? kComplete : kNext}; }
};

namespace {

constexpr uint64_t kMostAnnounced = uint64_t{1} << 40;  // elements that an aggregate may say it has

/// The integer of a head line that ends in CRLF. `at` is at its first character and moves behind the line. Returns
/// false when the line is not all there; sets `bad` when it is no integer.
bool read_number(const uint8_t* b, size_t size, size_t& at, int64_t& n, bool& bad) {
  size_t i = at;
  if (size >= i + 3 && b[i + 1] == '\r' && b[i + 2] == '\n' && static_cast<uint8_t>(b[i] - '0') < 10) {  // most
    n = b[i] - '0';
    at = i + 3;
    return true;
  }
  bool negative = false;
  if (i < size && (b[i] == '-' || b[i] == '+')) negative = b[i++] == '-';
  const size_t first = i;
  uint64_t v = 0;
  while (i < size && static_cast<uint8_t>(b[i] - '0') < 10) {
    v = v * 10 + (b[i++] - '0');
    if (i - first > 19) return bad = true, true;
  }
  if (i >= size) return false;
  if (b[i] != '\r' || i == first) return bad = true, true;
  if (i + 1 >= size) return false;
  if (b[i + 1] != '\n') return bad = true, true;
  n = negative ? static_cast<int64_t>(0 - v) : static_cast<int64_t>(std::min<uint64_t>(v, INT64_MAX));
  at = i + 2;
  return true;
}

Value number_from(std::string_view text, Arena& arena) {
  double d = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), d);
  if (error == std::errc() && end == text.data() + text.size() && std::isfinite(d)) return Value(d);
  return Value(arena.copy(text));  // inf, nan
}

}  // namespace

/// Of a verbatim text ("txt:...") what stands behind its format.
std::string_view RespReader::without_format(std::string_view text) const {
  return bulk_type_ == '=' && text.size() >= 4 && text[3] == ':' ? text.substr(4) : text;
}

Value RespReader::keep(std::string_view text) {
  const bool cut = text.size() > cap_;
  if (cut) {
    truncated_ = true;
    text = text.substr(0, cap_);
  }
  cap_ -= static_cast<uint32_t>(text.size());
  return text_or_bytes(arena_->copy(text), cut);
}

void RespReader::open(char type, int64_t n) {
  if (top_ == nullptr && type != '|') count_ = static_cast<uint64_t>(n);
  ++depth_;
  const uint64_t elements = static_cast<uint64_t>(n) * (type == '%' || type == '|' ? 2 : 1);
  top_ = arena_->make<Frame>(Frame{top_, nullptr, elements, 0, 0, type});
}

/// Opens what says its end only when it comes: "*?", "%?", or "$?" (type ';', for its chunks).
void RespReader::open_streamed(char type) {
  ++depth_;
  top_ = arena_->make<Frame>(Frame{top_, nullptr, UINT64_MAX, 0, 0, type});
}

/// The end of a streamed value; true when it was the outermost.
bool RespReader::end_streamed() {
  Frame& f = *top_;
  if (f.up == nullptr && f.type != ';') count_ = f.type == '%' ? f.stored / 2 : f.stored;
  top_ = f.up;
  --depth_;
  return f.type != '|' && deliver(close(f));
}

Value RespReader::close(Frame& frame) {
  if (frame.type == ';') {
    size_t size = 0;
    for (uint32_t i = 0; i < frame.stored; ++i) size += frame.values[i].text().size();
    char* const text = static_cast<char*>(arena_->allocate(size, 1));
    size_t at = 0;
    for (uint32_t i = 0; i < frame.stored; ++i) at += frame.values[i].text().copy(text + at, size - at);
    return text_or_bytes({text, size}, truncated_);
  }
  if (frame.type != '%') return Value::list({frame.values, frame.stored});
  const uint32_t pairs = frame.stored / 2;
  auto members = arena_->array<Member>(pairs);
  for (uint32_t i = 0; i < pairs; ++i) {
    const Value& key = frame.values[2 * i];
    std::string_view name = key.text();
    if (key.type() == Value::Type::kInt) {
      char digits[24];
      name = arena_->copy(std::string_view(digits, std::to_chars(digits, digits + 24, key.as_int()).ptr - digits));
    }
    members[i] = {name, frame.values[2 * i + 1]};
  }
  return Value::map(members);
}

/// A value is complete: puts it where it belongs and closes what it completes. True when the outermost is.
bool RespReader::deliver(Value value) {
  for (;;) {
    if (top_ == nullptr) {
      value_ = value;
      return true;
    }
    Frame& f = *top_;
    if (elements_ < kMaxElements) {
      if (f.stored == f.room) {
        const uint32_t room = f.room != 0 ? f.room * 2 : static_cast<uint32_t>(std::min<uint64_t>(f.left, 8));
        auto* grown = static_cast<Value*>(arena_->allocate(room * sizeof(Value), alignof(Value)));
        if (f.stored != 0) std::memcpy(static_cast<void*>(grown), f.values, f.stored * sizeof(Value));
        f.values = grown;
        f.room = room;
      }
      f.values[f.stored++] = value;
      ++elements_;
    } else {
      truncated_ = true;
    }
    if (--f.left != 0) return false;
    top_ = f.up;
    --depth_;
    if (f.type == '|') return false;  // attributes go before the value that they describe, and are not one
    value = close(f);
  }
}

Value RespReader::so_far() const {
  const Frame* f = top_;
  while (f != nullptr && f->up != nullptr) f = f->up;
  return f != nullptr ? Value::list({f->values, f->stored}) : Value();
}

/// A command as nearly all are, read in one go: a short array of bulk strings that is here whole. Its bytes, or 0 when
/// it is anything else, which read() sees to token by token.
size_t RespReader::whole_command(Bytes bytes) {
  constexpr size_t kMost = 16;
  struct {
    size_t begin, size;
  } pieces[kMost];
  const uint8_t* b = bytes.data();
  const size_t size = bytes.size();
  size_t at = 1, content = 0;
  int64_t n = 0, length = 0;
  bool bad = false;
  if (!read_number(b, size, at, n, bad) || bad || n <= 0 || n > static_cast<int64_t>(kMost)) return 0;
  const size_t first = at;
  for (int64_t i = 0; i < n; ++i) {
    if (at == size || b[at++] != '$' || !read_number(b, size, at, length, bad) || bad) return 0;
    if (length < 0 || length > static_cast<int64_t>(kWhole) || size - at < static_cast<size_t>(length) + 2) return 0;
    pieces[i] = {at, static_cast<size_t>(length)};
    content += pieces[i].size;
    at += pieces[i].size + 2;
    if (b[at - 2] != '\r' || b[at - 1] != '\n') return 0;
  }
  if (content > cap_) return 0;
  const char* const kept = arena_->copy(as_text(bytes.subspan(first, at - first))).data();
  auto* const values = static_cast<Value*>(arena_->allocate(static_cast<size_t>(n) * sizeof(Value), alignof(Value)));
  for (int64_t i = 0; i < n; ++i)
    new (values + i) Value(text_or_bytes({kept + (pieces[i].begin - first), pieces[i].size}));
  type_ = '*';
  count_ = static_cast<uint64_t>(n);
  value_ = Value::list({values, static_cast<size_t>(n)});
  return at;
}

RespReader::Step RespReader::read(Bytes bytes, size_t& used, bool command) {
  if (command && phase_ == Phase::kHead && top_ == nullptr && !bytes.empty() && bytes[0] == '*') {
    used = whole_command(bytes);
    if (used != 0) return {Got::kValue};
  }
  for (Cursor in{bytes.data(), bytes.size()};;) {
    const Turn turn = next_token(in, command);
    used = in.at;
    switch (turn.kind) {
      case Turn::kNext: break;
      case Turn::kComplete: return {Got::kValue};
      // What stands before the nonsense is taken first, as it is when the nonsense comes later.
      case Turn::kBad: return {in.at > 0 ? Got::kTook : Got::kBad};
      case Turn::kWait: return in.at > 0 ? Step{Got::kTook} : Step{Got::kNeed, turn.amount};
      case Turn::kSkip: return {Got::kSkip, turn.amount};
    }
  }
}

RespReader::Turn RespReader::next_token(Cursor& in, bool command) {
  switch (phase_) {
    case Phase::kHead: return head(in, command);
    case Phase::kBulk: return bulk(in);
    case Phase::kBody: return body(in);
    case Phase::kTail: break;
  }
  return tail(in);
}

RespReader::Turn RespReader::head(Cursor& in, bool command) {
  if (in.left() == 0) return {Turn::kWait};
  const char type = static_cast<char>(in.b[in.at]);
  if (top_ == nullptr && type != '|') type_ = type;
  if (command && type != (top_ == nullptr ? '*' : '$')) return {Turn::kBad};
  // Streamed values, as RESP3 has them: "$?" and chunks up to ";0", "*?" and elements up to ".".
  const bool streaming = top_ != nullptr && top_->left > kMostAnnounced;
  const bool in_text = streaming && top_->type == ';';
  if (in_text != (type == ';') || (type == '.' && !streaming)) return {Turn::kBad};
  switch (type) {
    case '*':
    case '~':
    case '>':
    case '%':
    case '|': return !command && in.is_streamed() ? streamed(in, type) : aggregate(in, type);
    case '$': return !command && in.is_streamed() ? streamed(in, type) : bulk_head(in, type, command);
    case ';':
    case '=':
    case '!': return bulk_head(in, type, command);
    case ':': return integer(in);
    case '+':
    case '-':
    case '(':
    case ',':
    case '#':
    case '_': return line(in, type);
    case '.': return streamed(in, type);
    default: return {Turn::kBad};
  }
}

/// "$?", "*?" and their like, and ".", which ends them.
RespReader::Turn RespReader::streamed(Cursor& in, char type) {
  const size_t size = type == '.' ? 1 : 2;
  if (in.left() < size + 2) return {Turn::kWait, size + 2};
  if (!in.ends_line(size) || (type != '.' && depth_ == kMaxDepth)) return {Turn::kBad};
  in.at += size + 2;
  if (type == '.') return Turn::done(end_streamed());
  open_streamed(type == '$' ? ';' : type);
  return {Turn::kNext};
}

RespReader::Turn RespReader::aggregate(Cursor& in, char type) {
  int64_t n = 0;
  bool bad = false;
  size_t next = in.at + 1;
  if (!read_number(in.b, in.size, next, n, bad)) return {Turn::kWait};
  if (bad || n > static_cast<int64_t>(kMostAnnounced) || (n > 0 && depth_ == kMaxDepth)) return {Turn::kBad};
  in.at = next;
  if (n < 0) return Turn::done(deliver(Value()));
  if (n > 0) {
    open(type, n);
    return {Turn::kNext};
  }
  if (type == '|') return {Turn::kNext};
  if (top_ == nullptr) count_ = 0;
  return Turn::done(deliver(type == '%' ? Value::map({}) : Value::list({})));
}

/// The length of a text, or of a chunk of one.
RespReader::Turn RespReader::bulk_head(Cursor& in, char type, bool command) {
  int64_t n = 0;
  bool bad = false;
  size_t next = in.at + 1;
  if (!read_number(in.b, in.size, next, n, bad)) return {Turn::kWait};
  if (bad || n > static_cast<int64_t>(kMaxBulk) || (n < 0 && (type != '$' || command))) return {Turn::kBad};
  in.at = next;
  if (n < 0) return Turn::done(deliver(Value()));
  if (n == 0 && type == ';') return Turn::done(end_streamed());
  body_left_ = static_cast<uint64_t>(n);
  bulk_type_ = type;
  phase_ = Phase::kBulk;
  return {Turn::kNext};
}

RespReader::Turn RespReader::integer(Cursor& in) {
  int64_t n = 0;
  bool bad = false;
  size_t next = in.at + 1;
  if (!read_number(in.b, in.size, next, n, bad)) return {Turn::kWait};
  if (bad) return {Turn::kBad};
  in.at = next;
  return Turn::done(deliver(Value(n)));
}

/// Values that are the rest of their line.
RespReader::Turn RespReader::line(Cursor& in, char type) {
  const size_t from = std::max<size_t>(in.at + 1, in.at + scanned_);
  const void* const end = from < in.size ? std::memchr(in.b + from, '\n', in.size - from) : nullptr;
  if (end == nullptr) {
    if (in.left() > kMaxLine) return {Turn::kBad};
    scanned_ = static_cast<uint32_t>(in.left());
    return {Turn::kWait};
  }
  scanned_ = 0;
  const size_t newline = static_cast<size_t>(static_cast<const uint8_t*>(end) - in.b);
  if (newline - in.at > kMaxLine || newline < in.at + 2 || in.b[newline - 1] != '\r') return {Turn::kBad};
  const std::string_view text = as_text({in.b + in.at + 1, newline - 1 - (in.at + 1)});
  in.at = newline + 1;
  switch (type) {
    case '#': return text == "t" || text == "f" ? Turn::done(deliver(Value(text == "t"))) : Turn{Turn::kBad};
    case '_': return text.empty() ? Turn::done(deliver(Value())) : Turn{Turn::kBad};
    case ',': return Turn::done(deliver(number_from(text.substr(0, 64), *arena_)));
    default: return Turn::done(deliver(keep(text)));
  }
}

RespReader::Turn RespReader::bulk(Cursor& in) {
  if (body_left_ <= kWhole) {
    const size_t size = static_cast<size_t>(body_left_);
    if (in.left() < size + 2) return {Turn::kWait, size + 2};
    if (!in.ends_line(size)) return {Turn::kBad};
    const std::string_view text = as_text({in.b + in.at, size});
    in.at += size + 2;
    phase_ = Phase::kHead;
    // Beyond the element limit nothing can show the content, so it is not kept either.
    return Turn::done(deliver(elements_ < kMaxElements ? keep(without_format(text)) : Value()));
  }
  if (in.left() < kWhole) return {Turn::kWait, kWhole};  // a claimed length alone gets no memory
  store_left_ = static_cast<uint32_t>(std::min<uint64_t>(body_left_, elements_ < kMaxElements ? cap_ : 0));
  store_ = static_cast<char*>(arena_->allocate(store_left_, 1));
  stored_ = 0;
  cap_ -= store_left_;
  if (store_left_ < body_left_) truncated_ = true;
  phase_ = Phase::kBody;
  return {Turn::kNext};
}

/// Content of a text that is too large to be awaited whole.
RespReader::Turn RespReader::body(Cursor& in) {
  const size_t n = std::min<size_t>(in.left(), store_left_);
  std::memcpy(store_, in.b + in.at, n);
  store_ += n;
  stored_ += static_cast<uint32_t>(n);
  store_left_ -= static_cast<uint32_t>(n);
  body_left_ -= n;
  in.at += n;
  if (store_left_ > 0 || (body_left_ > 0 && in.at > 0)) return {Turn::kWait};
  if (body_left_ > 0) return {Turn::kSkip, std::exchange(body_left_, 0)};
  phase_ = Phase::kTail;
  return {Turn::kNext};
}

RespReader::Turn RespReader::tail(Cursor& in) {
  if (in.left() < 2) return {Turn::kWait, 2};
  if (!in.ends_line(0)) return {Turn::kBad};
  in.at += 2;
  phase_ = Phase::kHead;
  return Turn::done(deliver(text_or_bytes(without_format({store_ - stored_, stored_}), truncated_)));
}

}  // namespace baleen::dissect::redis
