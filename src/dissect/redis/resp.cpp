#include "dissect/redis/resp.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

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
  const uint8_t* b = bytes.data();
  const size_t size = bytes.size();
  if (command && phase_ == Phase::kHead && top_ == nullptr && size != 0 && b[0] == '*') {
    used = whole_command(bytes);
    if (used != 0) return {Got::kValue};
  }
  size_t at = 0;
  const auto stop = [&](uint64_t want) -> Step {
    used = at;
    if (at > 0) return {Got::kTook};
    return {Got::kNeed, want};
  };
  // What stands before the nonsense is taken first, as it is when the nonsense comes later.
  const auto bad_here = [&]() -> Step {
    used = at;
    return {at > 0 ? Got::kTook : Got::kBad};
  };
  for (;;) {
    bool complete = false;
    switch (phase_) {
      case Phase::kHead: {
        if (at == size) return stop(0);
        const char type = static_cast<char>(b[at]);
        if (top_ == nullptr && type != '|') type_ = type;
        if (command && type != (top_ == nullptr ? '*' : '$')) return bad_here();
        size_t next = at + 1;
        // Streamed values, as RESP3 has them: "$?" and chunks up to ";0", "*?" and elements up to ".".
        const bool streaming = top_ != nullptr && top_->left > kMostAnnounced;
        const bool in_text = streaming && top_->type == ';';
        if (in_text != (type == ';') || (type == '.' && !streaming)) return bad_here();
        if (type == '.' || (!command && next < size && b[next] == '?' && std::strchr("*~>%|$", type) != nullptr)) {
          const size_t end = type == '.' ? next : next + 1;
          if (size < end + 2) return stop(end - at + 2);
          if (b[end] != '\r' || b[end + 1] != '\n' || (type != '.' && depth_ == kMaxDepth)) return bad_here();
          at = end + 2;
          if (type == '.')
            complete = end_streamed();
          else
            open_streamed(type == '$' ? ';' : type);
          break;
        }
        int64_t n = 0;
        bool bad = false;
        switch (type) {
          case '*':
          case '~':
          case '>':
          case '%':
          case '|':
            if (!read_number(b, size, next, n, bad)) return stop(0);
            if (bad || n > static_cast<int64_t>(kMostAnnounced) || (n > 0 && depth_ == kMaxDepth)) return bad_here();
            at = next;
            if (n < 0) {
              complete = deliver(Value());
            } else if (n == 0) {
              if (top_ == nullptr && type != '|') count_ = 0;
              if (type != '|') complete = deliver(type == '%' ? Value::map({}) : Value::list({}));
            } else {
              open(type, n);
            }
            break;
          case ';':
            if (!read_number(b, size, next, n, bad)) return stop(0);
            if (bad || n < 0 || n > static_cast<int64_t>(kMaxBulk)) return bad_here();
            at = next;
            if (n == 0) {
              complete = end_streamed();
            } else {
              body_left_ = static_cast<uint64_t>(n);
              bulk_type_ = type;
              phase_ = Phase::kBulk;
            }
            break;
          case '$':
          case '=':
          case '!':
            if (!read_number(b, size, next, n, bad)) return stop(0);
            if (bad || n > static_cast<int64_t>(kMaxBulk) || (n < 0 && (type != '$' || command))) return bad_here();
            at = next;
            if (n < 0) {
              complete = deliver(Value());
            } else {
              body_left_ = static_cast<uint64_t>(n);
              bulk_type_ = type;
              phase_ = Phase::kBulk;
            }
            break;
          case ':':
            if (!read_number(b, size, next, n, bad)) return stop(0);
            if (bad) return bad_here();
            at = next;
            complete = deliver(Value(n));
            break;
          case '+':
          case '-':
          case '(':
          case ',':
          case '#':
          case '_': {
            const size_t from = std::max<size_t>(at + 1, at + scanned_);
            const void* end = from < size ? std::memchr(b + from, '\n', size - from) : nullptr;
            if (end == nullptr) {
              if (size - at > kMaxLine) return bad_here();
              scanned_ = static_cast<uint32_t>(size - at);
              return stop(0);
            }
            scanned_ = 0;
            const size_t newline = static_cast<size_t>(static_cast<const uint8_t*>(end) - b);
            if (newline - at > kMaxLine || newline < at + 2 || b[newline - 1] != '\r') return bad_here();
            const std::string_view text = as_text({b + at + 1, newline - 1 - (at + 1)});
            at = newline + 1;
            if (type == '#') {
              if (text != "t" && text != "f") return bad_here();
              complete = deliver(Value(text == "t"));
            } else if (type == '_') {
              if (!text.empty()) return bad_here();
              complete = deliver(Value());
            } else if (type == ',') {
              complete = deliver(number_from(text.substr(0, 64), *arena_));
            } else {
              complete = deliver(keep(text));
            }
            break;
          }
          default: return bad_here();
        }
        break;
      }
      case Phase::kBulk: {
        if (body_left_ <= kWhole) {
          const size_t whole = static_cast<size_t>(body_left_) + 2;
          if (size - at < whole) return stop(whole);
          if (b[at + whole - 2] != '\r' || b[at + whole - 1] != '\n') return bad_here();
          std::string_view text = as_text({b + at, whole - 2});
          if (bulk_type_ == '=' && text.size() >= 4 && text[3] == ':') text.remove_prefix(4);  // verbatim: "txt:..."
          at += whole;
          phase_ = Phase::kHead;
          // Beyond the element limit nothing can show the content, so it is not kept either.
          complete = deliver(elements_ < kMaxElements ? keep(text) : Value());
          break;
        }
        if (size - at < kWhole) return stop(kWhole);  // a claimed length alone gets no memory
        store_left_ = static_cast<uint32_t>(std::min<uint64_t>(body_left_, elements_ < kMaxElements ? cap_ : 0));
        store_ = static_cast<char*>(arena_->allocate(store_left_, 1));
        stored_ = 0;
        cap_ -= store_left_;
        if (store_left_ < body_left_) truncated_ = true;
        phase_ = Phase::kBody;
        break;
      }
      case Phase::kBody: {
        const size_t n = std::min<size_t>(size - at, store_left_);
        std::memcpy(store_, b + at, n);
        store_ += n;
        stored_ += static_cast<uint32_t>(n);
        store_left_ -= static_cast<uint32_t>(n);
        body_left_ -= n;
        at += n;
        if (store_left_ > 0) return stop(0);
        if (body_left_ > 0) {
          if (at > 0) return stop(0);
          used = 0;
          const Step skip{Got::kSkip, body_left_};
          body_left_ = 0;
          return skip;
        }
        phase_ = Phase::kTail;
        break;
      }
      case Phase::kTail: {
        if (size - at < 2) return stop(2);
        if (b[at] != '\r' || b[at + 1] != '\n') return bad_here();
        at += 2;
        phase_ = Phase::kHead;
        std::string_view text{store_ - stored_, stored_};
        if (bulk_type_ == '=' && text.size() >= 4 && text[3] == ':') text.remove_prefix(4);
        complete = deliver(text_or_bytes(text, truncated_));
        break;
      }
    }
    if (complete) {
      used = at;
      return {Got::kValue};
    }
  }
}

}  // namespace baleen::dissect::redis
