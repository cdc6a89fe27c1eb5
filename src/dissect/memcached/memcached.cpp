// https://github.com/memcached/memcached/blob/master/doc/protocol.txt and protocol-binary.txt

#include "dissect/memcached/memcached.h"

#include <algorithm>

#include "dissect/build.h"
#include "dissect/memcached/binary.h"
#include "dissect/memcached/datagrams.h"
#include "dissect/memcached/reply.h"
#include "dissect/memcached/text.h"

namespace baleen::dissect::memcached {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {11211};
constexpr Field kFields[] = {
    {"request.command", "memcached_command", kString, "The command: get, set, delete, incr; of meta commands mg, ms."},
    {"request.key", "memcached_key", kString, "The first key."},
    {"request.keys", "", kList, "All keys."},
    {"request.flags", "", kInt, "The client's flags."},
    {"request.expiry", "", kInt, "Seconds, or a time, after which the value is gone."},
    {"request.value", "", kString, "What is stored."},
    {"request.valueSize", "", kInt, "Bytes of it."},
    {"request.cas", "", kInt, "Version that the value must have."},
    {"request.delta", "", kInt, "By how much to count."},
    {"request.noReply", "", kBool, "No reply is wanted."},
    {"request.args", "", kString, "The rest of the command line."},
    {"request.protocol", "", kString, "text or binary."},
    {"request.credentials", "", kString, "What SASL authentication says.", true},
    {"response.status", "memcached_status", kString, "HIT, MISS, STORED, NOT_FOUND, ERROR and the like."},
    {"response.values", "", kList, "Values found: key, flags, size, value, cas."},
    {"response.count", "", kInt, "How many."},
    {"response.stats", "", kMap, "Statistics by their names."},
    {"response.value", "", kString, "Value, number or version."},
    {"response.error", "", kString, "The error message."},
};

constexpr uint64_t kQuietMeta = 1ull << 48;  // Item::match_key: a meta command that does not want all answers

}  // namespace

const item::Protocol Memcached::kProtocol = {
    .name = "memcached",
    .version = "1.6",
    .abbreviation = "MEMCACHED",
    .long_name = "memcached Protocol",
    .macro = "memcached",
    .reference = "https://github.com/memcached/memcached/blob/master/doc/protocol.txt",
    .background = "#2e7d6b",
    .foreground = "#ffffff",
    .font_size = 9,
    .priority = 9,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.command",
    .summary_path = "request.key",
    .status_path = "response.status",
};

Probe Memcached::begins(Direction d, Bytes b) {
  if (b[0] >= 0x80) return binary_at(d, b);
  const std::string_view t = as_text(b.first(std::min(b.size(), kMaxLine)));
  // Before the line's end is looked for, its first word must be one: resync() asks for every byte.
  if (!may_begin_line(t, d)) return Probe::kNo;
  const size_t end = t.find('\n');
  if (d == Direction::kToServer) {
    if (end == std::string_view::npos) return t.size() >= kMaxLine ? Probe::kNo : Probe::kUnsure;
    if (end == 0 || t[end - 1] != '\r' || !is_printable(t.substr(0, end - 1))) return Probe::kNo;
    const Command c = read_command(t.substr(0, end + 1));
    if (c.verb == nullptr || !c.ok) return Probe::kNo;
    // Lower-case words that other protocols know as well are left to them, unless there is more to go by.
    if (c.verb->shape == Shape::kPlain)
      return c.verb->text == "stats" || c.verb->text == "flush_all" ? Probe::kYes : Probe::kNo;
    return Probe::kYes;
  }
  if (end == std::string_view::npos) {
    for (const std::string_view w : {"VALUE ", "STORED\r", "NOT_STORED\r", "NOT_FOUND\r", "DELETED\r", "TOUCHED\r",
                                     "STAT ", "ITEM ", "EXISTS\r", "END\r"})
      if (t.starts_with(w) || w.starts_with(t)) return t.size() > 300 ? Probe::kNo : Probe::kUnsure;
    return Probe::kNo;
  }
  if (end == 0 || end > 300 || t[end - 1] != '\r') return Probe::kNo;
  uint64_t value = 0;
  switch (reply_kind(t.substr(0, end + 1), value)) {
    case Got::kValue: return Probe::kYes;
    case Got::kStat: return t.starts_with("STAT ") || t.starts_with("ITEM ") ? Probe::kYes : Probe::kNo;
    case Got::kStatus:
      return t.starts_with("STORED") || t.starts_with("NOT_") || t.starts_with("DELETED") || t.starts_with("TOUCHED")
                 ? Probe::kYes
                 : Probe::kNo;
    case Got::kEnd: return t.starts_with("END\r\n") ? Probe::kYes : Probe::kNo;
    default: return Probe::kNo;
  }
}

Probe Memcached::probe(const Input& in) {
  if (in.bytes.empty()) return Probe::kUnsure;
  if (in.datagram) {
    const auto head = datagram_at(in.bytes);
    return head && head->part == 0 ? begins(in.direction, in.bytes.subspan(kDatagramHead)) : Probe::kNo;
  }
  const Probe p = begins(in.direction, in.bytes);
  // "END" answers what somebody asked before; alone it says too little for a claim that is final.
  return p == Probe::kYes && in.direction == Direction::kToClient && as_text(in.bytes).starts_with("END") ? Probe::kNo
                                                                                                          : p;
}

Step Memcached::dissect(const Input& in, Output& out) {
  return in.datagram ? datagram(in, out) : Framed::dissect(in, out);
}

void Memcached::expire(Timestamp before, Output& out) {
  while (joins_ != nullptr && !joins_->answers.empty() && joins_->answers.front().time < before)
    read_joined(joins_->answers.begin(), out);
  datagrams_.expire(before, out);
  Framed::expire(before, out);
}

void Memcached::ask(Item* item, Output& out) {
  request_ ? datagrams_.push(*request_, item, out) : waiting_.ask(item, out);
}
Item* Memcached::answer() { return request_ ? datagrams_.take(*request_) : waiting_.answer(); }

Item* Memcached::answer_to_text(std::string_view line, Output& out) {
  if (!request_)
    for (const Item* i = waiting_.front(); i != nullptr && i->match_key == kQuietMeta && !answers_quiet(i, line);
         i = waiting_.front())
      out.finish(waiting_.answer());
  return answer();
}

Measure Memcached::measure(Direction d, Bytes b) {
  if (b[0] == 0x80 || b[0] == 0x81) {
    if (b.size() < kBinaryHead) return Measure::need(kBinaryHead);
    const uint32_t body = load_be32(&b[8]);
    const bool fits = body <= kMaxValue && uint32_t{load_be16(&b[2])} + b[4] <= body;
    return fits ? Measure::frame(kBinaryHead + uint64_t{body}) : Measure::bad();
  }
  const Measure end = lines_.line(d, b, kMaxLine);
  if (end.kind != Measure::Kind::kFrame) return end;
  const auto line = static_cast<size_t>(end.bytes);
  const std::string_view text = as_text(b.first(line));
  if (d == Direction::kToServer) {
    const Command c = read_command(text);
    if (c.verb == nullptr && !is_printable(without_end(text))) return Measure::bad();
    return Measure::frame(line + (c.verb != nullptr && c.ok && c.has_value ? c.value + 2 : 0));
  }
  uint64_t value = 0;
  const Got got = reply_kind(text, value);
  if (got == Got::kNone) return Measure::bad();
  return Measure::frame(line + (got == Got::kValue || got == Got::kMetaValue ? value + 2 : 0));
}

Step Memcached::message(const Frame& frame, Output& out) {
  if (frame.bytes[0] == 0x80 || frame.bytes[0] == 0x81) return binary(frame, out);
  return frame.to_server() ? text_request(frame, out) : text_reply(frame, out);
}

Step Memcached::text_request(const Frame& frame, Output& out) {
  Item* const item = out.begin(kProtocol);
  Arena& arena = item->arena;
  const std::string_view text = arena.copy(as_text(frame.bytes));
  const size_t line = text.find('\n') + 1;
  const Command c = read_command(text.substr(0, line));
  MapOf map(arena);
  map.add("protocol", "text");
  map.add("command",
          c.verb != nullptr ? Value(c.verb->text) : text_or_bytes(without_end(text.substr(0, line)).substr(0, 64)));
  map.add("key", text_or_bytes(c.key));
  map.add("args", text_or_bytes(c.rest));
  if (c.verb != nullptr && (c.verb->shape == Shape::kKeys || c.verb->shape == Shape::kTouchGet)) {
    ListOf keys(arena);
    std::string_view rest = c.rest;
    if (c.verb->shape == Shape::kTouchGet) next_word(rest);
    for (std::string_view key = next_word(rest); !key.empty(); key = next_word(rest)) keys.push(text_or_bytes(key));
    map.add("keys", keys.build());
  }
  if (c.flags) map.add("flags", *c.flags);
  if (c.expiry) map.add("expiry", *c.expiry);
  if (c.cas) map.add("cas", *c.cas);
  if (c.delta) map.add("delta", *c.delta);
  if (c.has_value && c.ok) {
    map.add("value",
            text_or_bytes(text.substr(line, frame.cut ? c.value : std::min<size_t>(c.value, text.size() - line)),
                          frame.cut));
    map.add("valueSize", c.value);
  }
  if (frame.cut) {
    map.add("truncated", true);
    out.count(Counter::kBodyCapped);
  }
  if (c.no_reply) map.add("noReply", true);
  set(item->request, map.build(), frame);
  const bool meta = c.verb != nullptr && (c.verb->shape == Shape::kMeta || c.verb->shape == Shape::kMetaStore);
  if (meta && flag_of(c.rest.substr(c.key.size()), 'q') == "q") item->match_key = kQuietMeta;
  if (c.no_reply || (c.verb != nullptr && c.verb->text == "quit")) {
    out.finish(item);
  } else {
    ask(item, out);
  }
  return Step::took(frame.size);
}

void Memcached::finish_reply(std::string_view status, Output& out) {
  Reply* const r = std::exchange(reply_, nullptr);
  MapOf map(r->item->arena);
  map.add("status", status);
  if (!r->stats.empty()) {
    map.add("stats", r->stats.build());
  } else {
    map.add("count", uint64_t{r->values.seen()});
    map.add("values", r->values.build());
  }
  if (r->capped) map.add("truncated", true);
  r->item->response = {map.build(), r->time, r->size, true};
  out.finish(r->item);
}

Step Memcached::text_reply(const Frame& frame, Output& out) {
  const std::string_view seen = as_text(frame.bytes);
  uint64_t value = 0;
  const Got got = reply_kind(seen.substr(0, seen.find('\n') + 1), value);
  const bool fresh = reply_ == nullptr;
  Item* item = fresh ? answer_to_text(seen.substr(0, seen.find('\n') + 1), out) : reply_->item;
  if (item == nullptr) item = begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  const bool parts = got == Got::kValue || got == Got::kStat || got == Got::kEnd;
  if (!parts && !fresh) {  // an error in the middle of values
    finish_reply("ERROR", out);
    return Step::took(frame.size);
  }
  const bool keep = fresh || reply_->bytes + frame.bytes.size() <= out.settings().body_cap;
  const std::string_view text = keep ? arena.copy(seen) : std::string_view();
  std::string_view line = without_end(text.substr(0, text.find('\n') + 1)), rest = line;
  const std::string_view word = next_word(rest);
  if (!parts) {
    MapOf map(arena);
    switch (got) {
      case Got::kError:
        map.add("status", word);
        map.add("error", text_or_bytes(trimmed(rest)));
        break;
      case Got::kNumber:
        map.add("status", "OK");
        map.add("value", word);
        break;
      case Got::kVersion:
        map.add("status", "OK");
        map.add("value", text_or_bytes(trimmed(rest)));
        break;
      case Got::kMetaValue:
        map.add("status", "HIT");
        map.add("value", text_or_bytes(text.substr(text.find('\n') + 1).substr(0, value), frame.cut));
        map.add("flags", text_or_bytes(trimmed(rest)));
        break;
      default: map.add("status", word); break;
    }
    set(item->response, map.build(), frame);
    out.finish(item);
    return Step::took(frame.size);
  }
  if (fresh) {
    reply_ = new (arena.allocate(sizeof(Reply), alignof(Reply))) Reply(item);
    reply_->time = frame.time;
  }
  reply_->size += frame.size;
  reply_->bytes += frame.bytes.size();
  if (!keep || frame.cut) reply_->capped = true;
  if (got == Got::kValue) {
    MapOf one(arena);
    one.add("key", text_or_bytes(next_word(rest)));
    one.add("flags", number_of(next_word(rest)).value_or(0));
    one.add("size", value);
    next_word(rest);
    if (const auto cas = number_of(next_word(rest))) one.add("cas", *cas);
    one.add("value",
            text_or_bytes(text.substr(std::min(text.size(), text.find('\n') + 1)).substr(0, value), frame.cut));
    reply_->values.push(keep ? one.build() : Value());
  } else if (got == Got::kStat) {
    const std::string_view name = next_word(rest);
    if (keep && is_text(name)) reply_->stats.add(name, text_or_bytes(trimmed(rest)));
  } else {
    const bool hit = !reply_->values.empty() || !reply_->stats.empty();
    finish_reply(hit ? (reply_->stats.empty() ? "HIT" : "OK") : "MISS", out);
  }
  return Step::took(frame.size);
}

/// The request that a binary reply answers; null when it cannot be known.
Item* Memcached::answer_to_binary(uint64_t key, Output& out) {
  if (request_) return datagrams_.take(*request_);
  // Quiet commands before the one that this answers had nothing to say.
  for (const Item* i = waiting_.front(); i != nullptr; i = waiting_.front()) {
    if (i->match_key == key) return waiting_.answer();
    if (!is_quiet(static_cast<uint8_t>(i->match_key))) break;
    out.finish(waiting_.answer());
  }
  return nullptr;
}

/// One of the replies to a stat command; the last has no key (protocol-binary.txt, "Stat").
Step Memcached::binary_stat(const Frame& frame, Output& out) {
  reply_->size += frame.size;
  reply_->bytes += frame.bytes.size();
  ByteReader r(frame.bytes.subspan(kBinaryHead));
  r.skip(frame.bytes[4]);
  const std::string_view name = r.text(load_be16(&frame.bytes[2])), value = as_text(r.rest());
  if (!r.ok() || name.empty()) {
    finish_reply("OK", out);
  } else if (reply_->bytes <= out.settings().body_cap && is_text(name)) {
    Arena& arena = reply_->item->arena;
    reply_->stats.add(arena.copy(name), text_or_bytes(arena.copy(value), frame.cut));
  } else {
    reply_->capped = true;
  }
  return Step::took(frame.size);
}

Step Memcached::binary(const Frame& frame, Output& out) {
  if (frame.bytes.size() < kBinaryHead) return Step::lost();
  const bool asks = frame.bytes[0] == 0x80;
  if (asks != frame.to_server()) return Step::lost();
  const uint8_t opcode = frame.bytes[1];
  const uint32_t opaque = load_be32(&frame.bytes[12]);
  const uint64_t key = uint64_t{opaque} << 8 | opcode;
  Item* item = nullptr;
  if (asks) {
    item = out.begin(kProtocol);
  } else {
    if (opcode == kBinaryStat && reply_ != nullptr && reply_->item->match_key == key) return binary_stat(frame, out);
    item = answer_to_binary(key, out);
    if (item != nullptr && opcode == kBinaryStat && load_be16(&frame.bytes[2]) != 0) {
      reply_ = new (item->arena.allocate(sizeof(Reply), alignof(Reply))) Reply(item);
      reply_->time = frame.time;
      return binary_stat(frame, out);
    }
    if (item == nullptr) item = begin_orphan(kProtocol, out);
  }
  Arena& arena = item->arena;
  ByteReader r(arena.copy(frame.bytes));
  r.skip(2);
  const uint16_t key_size = r.be16();
  const uint8_t extras_size = r.u8();
  r.u8();
  const uint16_t status = r.be16();
  const uint32_t body = r.be32();
  r.be32();
  const uint64_t cas = r.be64();
  const Bytes extras = r.bytes(extras_size);
  const std::string_view name = r.text(key_size);
  const std::string_view value =
      r.text(std::min<size_t>(r.remaining(), body - std::min<size_t>(body, key_size + extras_size)));
  MapOf map(arena);
  const bool sasl = opcode >= 0x20 && opcode <= 0x22;
  if (asks) {
    map.add("protocol", "binary");
    const std::string_view command = opcode_name(opcode);
    map.add("command", command.empty() ? decimal(opcode, arena) : command);
  } else {
    const std::string_view word = status_name(status);
    map.add("status", word.empty() ? decimal(status, arena) : word);
  }
  if (!name.empty() || asks) map.add("key", text_or_bytes(name));
  if (asks && extras.size() == 8) {
    map.add("flags", static_cast<int64_t>(load_be32(extras.data())));
    map.add("expiry", static_cast<int64_t>(load_be32(&extras[4])));
  } else if (asks && extras.size() == 20) {
    map.add("delta", load_be64(extras.data()));
    map.add("expiry", static_cast<int64_t>(load_be32(&extras[16])));
  } else if (!asks && extras.size() == 4) {
    map.add("flags", static_cast<int64_t>(load_be32(extras.data())));
  }
  if (cas != 0) map.add("cas", cas);
  if (!value.empty()) {
    const bool counter = !asks && (opcode == 5 || opcode == 6) && value.size() == 8;
    map.add(asks && sasl ? "credentials" : "value",
            counter ? Value(load_be64(as_bytes(value).data())) : text_or_bytes(value, frame.cut));
    map.add("valueSize", uint64_t{body} - key_size - extras_size);
  }
  if (frame.cut) {
    map.add("truncated", true);
    out.count(Counter::kBodyCapped);
  }
  set(asks ? item->request : item->response, map.build(), frame);
  if (asks) {
    item->match_key = key;
    ask(item, out);
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

void Memcached::forget(Direction, Output& out) {
  while (joins_ != nullptr && !joins_->answers.empty()) read_joined(joins_->answers.begin(), out);
  datagrams_.finish_all(out);
  if (reply_ != nullptr) finish_reply("INCOMPLETE", out);
}

}  // namespace baleen::dissect::memcached
