// https://github.com/memcached/memcached/blob/master/doc/protocol.txt and protocol-binary.txt

#include "dissect/memcached/memcached.h"

#include <algorithm>

#include "dissect/build.h"

namespace baleen::dissect::memcached {

using item::Field;
using item::Item;
using item::Outcome;
using item::Value;
using enum item::FieldType;

/// A reply of several parts: values, or lines of statistics.
struct Reply {
  Item* item;
  ListOf values;
  MapOf stats;
  uint64_t size = 0, bytes = 0;
  Timestamp time{};
  bool capped = false;
  Reply(Item* i) : item(i), values(i->arena), stats(i->arena) {}
};

struct DatagramHead {
  uint16_t request, part, parts;
};

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

constexpr size_t kMaxLine = 8192, kBinaryHead = 24;
constexpr uint8_t kBinaryStat = 0x10;
constexpr uint64_t kMaxValue = 128 << 20;

enum class Shape : uint8_t { kKeys, kStore, kCas, kCount, kKeyOnly, kPlain, kTouchGet, kMetaStore, kMeta };
struct Verb {
  std::string_view text;
  Shape shape;
};
constexpr Verb kVerbs[] = {
    {"get", Shape::kKeys},        {"gets", Shape::kKeys},     {"set", Shape::kStore},
    {"add", Shape::kStore},       {"replace", Shape::kStore}, {"append", Shape::kStore},
    {"prepend", Shape::kStore},   {"cas", Shape::kCas},       {"delete", Shape::kKeyOnly},
    {"incr", Shape::kCount},      {"decr", Shape::kCount},    {"touch", Shape::kCount},
    {"gat", Shape::kTouchGet},    {"gats", Shape::kTouchGet}, {"stats", Shape::kPlain},
    {"flush_all", Shape::kPlain}, {"version", Shape::kPlain}, {"verbosity", Shape::kPlain},
    {"quit", Shape::kPlain},      {"slabs", Shape::kPlain},   {"lru_crawler", Shape::kPlain},
    {"mg", Shape::kMeta},         {"ms", Shape::kMetaStore},  {"md", Shape::kMeta},
    {"ma", Shape::kMeta},         {"me", Shape::kMeta},       {"mn", Shape::kMeta},
};

const Verb* verb_of(std::string_view word) {
  for (const Verb& v : kVerbs)
    if (v.text == word) return &v;
  return nullptr;
}

/// Whether the first word, as far as it is there, is a verb, or begins a reply that is like no other protocol's.
bool may_begin_line(std::string_view t, Direction d) {
  const FirstWord word(t, 11);
  const auto is = [&](std::string_view other) {
    return word.whole ? other == word.text : other.starts_with(word.text);
  };
  if (d == Direction::kToServer)
    return std::any_of(std::begin(kVerbs), std::end(kVerbs), [&](const Verb& v) { return is(v.text); });
  for (const std::string_view reply :
       {"VALUE", "STORED", "NOT_STORED", "NOT_FOUND", "DELETED", "TOUCHED", "STAT", "ITEM", "EXISTS", "END"})
    if (is(reply)) return true;
  return false;
}

struct Command {
  const Verb* verb = nullptr;
  bool ok = false, no_reply = false;
  std::string_view key, rest;
  std::optional<uint64_t> flags, expiry, cas, delta;
  uint64_t value = 0;  // bytes
  bool has_value = false;
};

Command read_command(std::string_view line) {
  Command c;
  std::string_view rest = without_end(line);
  c.verb = verb_of(next_word(rest));
  if (c.verb == nullptr) return c;
  c.rest = trimmed(rest);
  c.no_reply = c.rest == "noreply" || c.rest.ends_with(" noreply");
  c.ok = true;
  switch (c.verb->shape) {
    case Shape::kStore:
    case Shape::kCas: {
      c.key = next_word(rest);
      c.flags = number_of(next_word(rest));
      std::string_view expiry = next_word(rest);
      if (expiry.starts_with('-')) expiry.remove_prefix(1);
      c.expiry = number_of(expiry);
      const auto size = number_of(next_word(rest));
      if (c.verb->shape == Shape::kCas) c.cas = number_of(next_word(rest));
      c.ok = c.flags && c.expiry && size && *size <= kMaxValue && (c.verb->shape != Shape::kCas || c.cas);
      c.value = size.value_or(0);
      c.has_value = true;
      break;
    }
    case Shape::kMetaStore: {
      c.key = next_word(rest);
      const auto size = number_of(next_word(rest));
      c.ok = size && *size <= kMaxValue;
      c.value = size.value_or(0);
      c.has_value = true;
      break;
    }
    case Shape::kCount: {
      c.key = next_word(rest);
      std::string_view number = next_word(rest);
      if (number.starts_with('-')) number.remove_prefix(1);
      c.delta = number_of(number);
      c.ok = c.delta.has_value();
      break;
    }
    case Shape::kTouchGet:
      c.expiry = number_of(next_word(rest));
      c.key = next_word(rest);
      c.ok = c.expiry.has_value();
      break;
    case Shape::kPlain: return c;
    default: c.key = next_word(rest); break;
  }
  if (c.key.size() > 250 || (c.key.empty() && c.verb->text != "mn")) c.ok = false;
  return c;
}

/// A reply line's kind by its first word.
enum class Got : uint8_t { kNone, kValue, kEnd, kStat, kStatus, kError, kNumber, kVersion, kMeta, kMetaValue };
Got reply_kind(std::string_view line, uint64_t& value) {
  std::string_view rest = without_end(line);
  const std::string_view word = next_word(rest);
  value = 0;
  if (word == "VALUE") {
    next_word(rest);
    const auto flags = number_of(next_word(rest)), size = number_of(next_word(rest));
    value = size.value_or(0);
    return flags && size && *size <= kMaxValue ? Got::kValue : Got::kNone;
  }
  if (word == "VA") {
    const auto size = number_of(next_word(rest));
    value = size.value_or(0);
    return size && *size <= kMaxValue ? Got::kMetaValue : Got::kNone;
  }
  if (word == "END") return Got::kEnd;
  if (word == "STAT" || word == "ITEM") return Got::kStat;
  for (const std::string_view s :
       {"STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "DELETED", "TOUCHED", "OK", "RESET", "BUSY"})
    if (word == s) return Got::kStatus;
  if (word == "ERROR" || word == "CLIENT_ERROR" || word == "SERVER_ERROR") return Got::kError;
  if (word == "VERSION") return Got::kVersion;
  for (const std::string_view s : {"HD", "EN", "NF", "NS", "EX", "MN", "ME"})
    if (word == s) return Got::kMeta;
  return number_of(word) ? Got::kNumber : Got::kNone;
}

constexpr Name kOpcodes[] = {
    {0x00, "get"},       {0x01, "set"},       {0x02, "add"},      {0x03, "replace"},
    {0x04, "delete"},    {0x05, "incr"},      {0x06, "decr"},     {0x07, "quit"},
    {0x08, "flush_all"}, {0x09, "getq"},      {0x0A, "noop"},     {0x0B, "version"},
    {0x0C, "getk"},      {0x0D, "getkq"},     {0x0E, "append"},   {0x0F, "prepend"},
    {0x10, "stats"},     {0x11, "setq"},      {0x12, "addq"},     {0x13, "replaceq"},
    {0x14, "deleteq"},   {0x15, "incrq"},     {0x16, "decrq"},    {0x17, "quitq"},
    {0x18, "flushq"},    {0x19, "appendq"},   {0x1A, "prependq"}, {0x1B, "verbosity"},
    {0x1C, "touch"},     {0x1D, "gat"},       {0x1E, "gatq"},     {0x20, "sasl list mechs"},
    {0x21, "sasl auth"}, {0x22, "sasl step"},
};
constexpr Name kStatuses[] = {
    {0, "OK"},
    {1, "NOT_FOUND"},
    {2, "EXISTS"},
    {3, "TOO_LARGE"},
    {4, "INVALID_ARGUMENTS"},
    {5, "NOT_STORED"},
    {6, "NON_NUMERIC"},
    {0x20, "AUTH_ERROR"},
    {0x21, "AUTH_CONTINUE"},
    {0x81, "UNKNOWN_COMMAND"},
    {0x82, "OUT_OF_MEMORY"},
};

bool is_quiet(uint8_t opcode) {
  return opcode == 0x09 || opcode == 0x0D || (opcode >= 0x11 && opcode <= 0x1A) || opcode == 0x1E;
}

/// What the parts of a request must be (protocol-binary.txt, section 4): bytes of extras, whether there is a key,
/// whether there may be a value.
struct BinaryForm {
  uint8_t extras;
  bool key, value;
};
BinaryForm form_of(uint8_t opcode) {
  switch (opcode) {
    case 0x01:  // set, add, replace: flags and expiry
    case 0x02:
    case 0x03:
    case 0x11:
    case 0x12:
    case 0x13: return {8, true, true};
    case 0x05:  // incr, decr: delta, initial value, expiry
    case 0x06:
    case 0x15:
    case 0x16: return {20, true, false};
    case 0x07:  // quit, noop, version
    case 0x0A:
    case 0x0B:
    case 0x17:
    case 0x20: return {0, false, false};
    case 0x08:  // flush: perhaps an expiry
    case 0x18:
    case 0x1B: return {4, false, false};
    case 0x0E:  // append, prepend, SASL
    case 0x0F:
    case 0x19:
    case 0x1A:
    case 0x21:
    case 0x22: return {0, true, true};
    case 0x1C:  // touch, get and touch
    case 0x1D:
    case 0x1E: return {4, true, false};
    default: return {0, true, false};
  }
}

Probe binary_at(Direction d, Bytes b) {
  if (b[0] != (d == Direction::kToServer ? 0x80 : 0x81)) return Probe::kNo;
  if (b.size() < kBinaryHead) return Probe::kUnsure;
  const uint8_t opcode = b[1];
  const uint32_t key = load_be16(&b[2]), extras = b[4], body = load_be32(&b[8]);
  if (name_in(kOpcodes, opcode).empty() || b[5] != 0 || key > 250 || key + extras > body || body > kMaxValue)
    return Probe::kNo;
  if (d == Direction::kToClient) {  // extras are flags
    const uint16_t status = load_be16(&b[6]);
    return (extras == 0 || extras == 4) && (status == 0 || !name_in(kStatuses, status).empty()) ? Probe::kYes
                                                                                                : Probe::kNo;
  }
  if (load_be16(&b[6]) > 2047) return Probe::kNo;  // the virtual bucket
  const BinaryForm form = form_of(opcode);
  const bool may_lack_key = opcode == 0x10, may_lack_extras = opcode == 0x08 || opcode == 0x18;
  if (extras != form.extras && !(may_lack_extras && extras == 0)) return Probe::kNo;
  if (key == 0 ? form.key && !may_lack_key : !form.key) return Probe::kNo;
  return form.value || key + extras == body ? Probe::kYes : Probe::kNo;
}

/// The head of a datagram (protocol.txt, "UDP protocol").
constexpr size_t kDatagramHead = 8;
constexpr size_t kPartOverhead = 64;  // bytes that a part takes beside its own
std::optional<DatagramHead> datagram_at(Bytes b) {
  if (b.size() <= kDatagramHead || load_be16(&b[6]) != 0) return std::nullopt;
  const DatagramHead head{load_be16(&b[0]), load_be16(&b[2]), load_be16(&b[4])};
  return head.part < head.parts ? std::optional(head) : std::nullopt;
}

constexpr uint64_t kQuietMeta = 1ull << 48;  // Item::match_key: a meta command that does not want all answers

/// The words of a meta command or its answer that begin with a flag's letter: "q", "Oabc".
std::string_view flag_of(std::string_view words, char flag) {
  for (std::string_view word = next_word(words); !word.empty(); word = next_word(words))
    if (word[0] == flag) return word;
  return {};
}

/// Whether a reply can be the one to a quiet meta command, which does not get the usual ones (protocol.txt, "The "q"
/// flag will hide the return line").
bool answers_quiet(const Item* item, std::string_view line) {
  const item::Value& request = item->request.payload;
  const std::string_view command = request["command"].text(), key = request["key"].text();
  std::string_view words = without_end(line), asked = request["args"].text();
  const std::string_view word = next_word(words);
  next_word(asked);
  if (word == "MN") return false;
  if (word == "EN") return false;
  // A plain ms always stores; whether md and ma hide what they did not find depends on the server's version.
  if (word == "NF") return command == "md" || command == "ma" || !flag_of(asked, 'M').empty();
  if (word == "HD" && command != "mg") return false;
  if (word == "VA") next_word(words);
  if (!flag_of(asked, 'k').empty() && flag_of(words, 'k').substr(0, 1) == "k" && flag_of(words, 'k').substr(1) != key)
    return false;
  const std::string_view opaque = flag_of(asked, 'O');
  return opaque.empty() || flag_of(words, 'O').empty() || flag_of(words, 'O') == opaque;
}

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
    for (const std::string_view w :
         {"VALUE ", "STORED\r", "NOT_STORED\r", "NOT_FOUND\r", "DELETED\r", "TOUCHED\r", "STAT ", "EXISTS\r", "END\r"})
      if (t.starts_with(w) || w.starts_with(t)) return t.size() > 300 ? Probe::kNo : Probe::kUnsure;
    return Probe::kNo;
  }
  if (end == 0 || end > 300 || t[end - 1] != '\r') return Probe::kNo;
  uint64_t value = 0;
  switch (reply_kind(t.substr(0, end + 1), value)) {
    case Got::kValue:
    case Got::kStat: return Probe::kYes;
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

Step Memcached::datagram(const Input& in, Output& out) {
  const auto head = datagram_at(in.bytes);
  if (!head) return Step::lost();
  const Input behind{in.direction, in.bytes.subspan(kDatagramHead), in.time, true, true, in.missing};
  if (in.direction == Direction::kToClient && head->parts > 1) {
    join(*head, behind, out);
  } else if (head->part == 0) {
    messages(head->request, behind, out);
  } else {  // a request has one datagram (protocol.txt, "UDP protocol")
    out.count(Counter::kSkippedBytes, in.bytes.size());
  }
  return Step::took(in.bytes.size());
}

/// The messages of a datagram, or of several that belong together.
void Memcached::messages(uint16_t request, const Input& in, Output& out) {
  request_ = request;
  lines_ = {};
  for (Bytes rest = in.bytes; !rest.empty();) {
    const Step step = Framed::dissect({in.direction, rest, in.time, true}, out);
    if (step.kind != Step::Kind::kTook && step.kind != Step::Kind::kSkip) break;
    rest = rest.subspan(static_cast<size_t>(std::min<uint64_t>(step.bytes, rest.size())));
  }
  if (reply_ != nullptr) {
    reply_->capped = true;
    finish_reply(reply_->values.empty() ? "OK" : "HIT", out);
  }
  request_.reset();
}

/// One datagram of an answer that has several.
void Memcached::join(const DatagramHead& head, const Input& in, Output& out) {
  if (joins_ == nullptr) joins_ = std::make_unique<Joins>();
  auto& answers = joins_->answers;
  auto at = std::find_if(answers.begin(), answers.end(), [&](const auto& a) { return a.request == head.request; });
  if (at != answers.end() && at->parts != head.parts) {  // the number is in use again
    read_joined(at, out);
    at = answers.end();
  }
  if (at == answers.end()) {
    if (answers.size() >= Joins::kMost) {
      out.count(Counter::kTooManyPending);
      read_joined(answers.begin(), out);
    }
    at = answers.insert(answers.end(), {.request = head.request, .parts = head.parts, .time = in.time});
  }
  if (!at->here.try_emplace(head.part, in.bytes.begin(), in.bytes.end()).second) return;  // it came twice
  if (in.missing > 0) at->whole = std::min<uint32_t>(at->whole, head.part + 1u);
  at->bytes += in.bytes.size() + kPartOverhead;
  joins_->bytes += in.bytes.size() + kPartOverhead;
  if (at->here.size() == at->parts) return read_joined(at, out);
  while (joins_->bytes > out.settings().header_cap) {
    out.count(Counter::kBodyCapped);
    read_joined(answers.begin(), out);
  }
}

/// Reads an answer as far as it is there from its beginning, and forgets it.
void Memcached::read_joined(std::list<Joins::Answer>::iterator answer, Output& out) {
  std::vector<uint8_t> front;
  uint32_t next = 0;
  size_t skipped = 0;
  for (const auto& [part, bytes] : answer->here) {
    if (part == next && next < answer->whole) {
      front.insert(front.end(), bytes.begin(), bytes.end());
      ++next;
    } else {
      skipped += bytes.size();
    }
  }
  const uint16_t request = answer->request;
  const Timestamp time = answer->time;
  joins_->bytes -= answer->bytes;
  joins_->answers.erase(answer);
  if (skipped > 0) out.count(Counter::kSkippedBytes, skipped);
  if (!front.empty()) messages(request, {Direction::kToClient, front, time, true}, out);
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
    const std::string_view command = name_in(kOpcodes, opcode);
    map.add("command", command.empty() ? decimal(opcode, arena) : command);
  } else {
    const std::string_view word = name_in(kStatuses, status);
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
