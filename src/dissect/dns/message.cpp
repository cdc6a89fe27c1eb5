#include "dissect/dns/message.h"

#include <algorithm>

namespace baleen::dissect::dns {
namespace {

using item::Member;
using item::Value;

// One record's members. Those of the reference come first and are always there, as strings but for the ttl.
enum RecordMember : size_t {
  kName,
  kType,
  kClass,
  kTtl,
  kIp,
  kNsName,
  kCnameName,
  kPtrName,
  kTxts,
  kSoaText,
  kSrvText,
  kMxText,
  kOptText,
  kUriText,
  kData,
  kRecordMembers
};
constexpr std::string_view kRecordNames[] = {"name", "type", "class", "ttl", "ip",  "ns",  "cname", "ptr",
                                             "txts", "soa",  "srv",   "mx",  "opt", "uri", "data"};

/// Where presentation text is written before it is copied into an arena at its exact size; stays at its largest.
std::string& scratch() {
  static thread_local std::string text;
  text.clear();
  return text;
}

bool question_class_ok(uint16_t klass) { return !class_name(klass & 0x7FFF).empty(); }

/// RFC 1001 14.1: the first level is 32 letters A to P; types NB and NBSTAT.
bool is_netbios(Bytes m, uint16_t type) {
  if ((type != 0x20 && type != 0x21) || m.size() < kHeaderBytes + 33 || m[kHeaderBytes] != 32) return false;
  const Bytes label = m.subspan(kHeaderBytes + 1, 32);
  return std::all_of(label.begin(), label.end(), [](uint8_t c) { return c >= 'A' && c <= 'P'; });
}

class Builder {
 public:
  Builder(Bytes message, bool multicast, Arena& arena) : m_(message), multicast_(multicast), arena_(arena) {}

  Value name(size_t at, size_t& behind) {
    // Most names of answers are one pointer to the question's name, or to one met before.
    const size_t whole = m_[at] >= 0xC0 ? static_cast<size_t>(load_be16(&m_[at]) & 0x3FFF) : at;
    for (const Known& k : known_)
      if (k.at == whole && whole != at) return behind = at + 2, Value(k.text);
    std::string& text = scratch();
    behind = append_name(m_, at, text);
    const Value v = arena_.copy(std::string_view(text));
    known_[next_known_++ % std::size(known_)] = {whole, v.text()};
    return v;
  }

  Value type(uint16_t type) {
    const std::string_view known = type_name(type);
    if (!known.empty()) return known;
    std::string& text = scratch();
    append_type(type, text);
    return arena_.copy(std::string_view(text));
  }
  Value klass(uint16_t klass) {
    if (multicast_) klass &= 0x7FFF;
    const std::string_view known = class_name(klass);
    if (!known.empty()) return known;
    std::string& text = scratch();
    text = "CLASS" + std::to_string(klass);  // RFC 3597 5
    return arena_.copy(std::string_view(text));
  }

  /// Also makes the lists of their names and types, which filters ask for.
  struct Questions {
    Value all, names, types;
  };
  Questions questions(size_t count) {
    const auto all = arena_.array<Value>(count), names = arena_.array<Value>(count), types = arena_.array<Value>(count);
    for (size_t i = 0; i < count; ++i) {
      size_t behind = 0;
      names[i] = name(at_, behind);
      const uint16_t t = load_be16(&m_[behind]), c = load_be16(&m_[behind + 2]);
      types[i] = type(t);
      const auto members = arena_.array<Member>(multicast_ ? 4 : 3);
      members[0] = {"name", names[i]};
      members[1] = {"type", types[i]};
      members[2] = {"class", klass(c)};
      if (multicast_) members[3] = {"unicastResponse", (c & 0x8000) != 0};
      all[i] = Value::map(members);
      at_ = behind + 4;
    }
    return {Value::list(all), Value::list(names), Value::list(types)};
  }

  Value records(size_t count) {
    if (count == 0) return Value::list({});
    auto* const list = static_cast<Value*>(arena_.allocate(count * sizeof(Value), alignof(Value)));
    for (size_t i = 0; i < count; ++i) new (list + i) Value(record());
    return Value::list({list, count});
  }

  Value edns() const { return edns_; }
  unsigned extended_rcode() const { return extended_rcode_; }
  void go_to(size_t at) { at_ = at; }

 private:
  struct Known {
    size_t at = 0;
    std::string_view text;
  };

  Value record() {
    size_t behind = 0;
    const Value owner = name(at_, behind);
    const uint16_t t = load_be16(&m_[behind]), c = load_be16(&m_[behind + 2]), size = load_be16(&m_[behind + 8]);
    const uint32_t ttl = load_be32(&m_[behind + 4]);
    const size_t data = behind + 10;
    at_ = data + size;

    const size_t count = kRecordMembers + (multicast_ && t != kOpt ? 1 : 0);
    auto* const r = static_cast<Member*>(arena_.allocate(count * sizeof(Member), alignof(Member)));
    for (size_t i = 0; i < kRecordMembers; ++i) new (r + i) Member{kRecordNames[i], Value(std::string_view())};
    r[kName].value = owner;
    r[kType].value = type(t);
    r[kClass].value = t == kOpt ? Value(std::string_view()) : klass(c);
    r[kTtl].value = static_cast<int64_t>(ttl);
    std::string& text = scratch();
    append_rdata(m_, t, data, size, text);
    const Value v = arena_.copy(std::string_view(text));
    r[kData].value = v;
    if (const size_t own = member_of(t); own != 0) r[own].value = t == kTxt ? texts(m_.subspan(data, size)) : v;
    if (t == kOpt) note_edns(c, ttl, m_.subspan(data, size));
    if (count > kRecordMembers) new (r + kRecordMembers) Member{"cacheFlush", (c & 0x8000) != 0};
    return Value::map({r, count});
  }

  static size_t member_of(uint16_t type) {
    switch (type) {
      case dns::kA:
      case dns::kAaaa: return kIp;
      case dns::kNs: return kNsName;
      case dns::kCname: return kCnameName;
      case dns::kPtr: return kPtrName;
      case dns::kTxt: return kTxts;
      case dns::kSoa: return kSoaText;
      case dns::kSrv: return kSrvText;
      case dns::kMx: return kMxText;
      case dns::kOpt: return kOptText;
      case dns::kUri: return kUriText;
      default: return 0;
    }
  }

  /// The strings themselves, joined with ",", where `data` has them in quotes.
  Value texts(Bytes data) {
    std::string& text = scratch();
    for (size_t at = 0; at < data.size();) {
      const size_t n = std::min<size_t>(data[at], data.size() - at - 1);
      if (at > 0) text += ',';
      text += as_text(data.subspan(at + 1, n));
      at += n + 1;
    }
    return arena_.copy(std::string_view(text));
  }

  /// RFC 6891 6.1: what OPT makes of class and TTL.
  void note_edns(uint16_t klass, uint32_t ttl, Bytes data) {
    size_t count = 0;
    for (size_t at = 0; at + 4 <= data.size(); at += size_t{4} + load_be16(&data[at + 2])) ++count;
    const auto list = arena_.array<Value>(count);
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
      const uint16_t code = load_be16(&data[at]);
      const size_t size = std::min<size_t>(load_be16(&data[at + 2]), data.size() - at - 4);
      std::string& text = scratch();
      append_option(code, data.subspan(at + 4, size), text);
      const auto option = arena_.array<Member>(3);
      option[0] = {"code", code};
      option[1] = {"name", option_name(code)};
      option[2] = {"value", arena_.copy(std::string_view(text))};
      list[i] = Value::map(option);
      at += 4 + size;
    }
    extended_rcode_ = ttl >> 24;
    const auto members = arena_.array<Member>(4);
    members[0] = {"version", ttl >> 16 & 0xFF};
    members[1] = {"udpSize", klass};
    members[2] = {"dnssecOk", (ttl & 0x8000) != 0};
    members[3] = {"options", Value::list(list)};
    edns_ = Value::map(members);
  }

  Bytes m_;
  bool multicast_;
  Arena& arena_;
  size_t at_ = kHeaderBytes;
  Known known_[4];
  size_t next_known_ = 0;
  Value edns_;
  unsigned extended_rcode_ = 0;
};

Value flags(const Header& h, Arena& arena) {
  static constexpr struct {
    const char* name;
    uint16_t bit;
  } kFlags[] = {{"authoritative", 0x0400},      {"truncated", 0x0200},     {"recursionDesired", 0x0100},
                {"recursionAvailable", 0x0080}, {"authenticData", 0x0020}, {"checkingDisabled", 0x0010}};
  const auto members = arena.array<Member>(std::size(kFlags));
  for (size_t i = 0; i < std::size(kFlags); ++i) members[i] = {kFlags[i].name, (h.flags & kFlags[i].bit) != 0};
  return Value::map(members);
}

/// The presentation of every record of a list.
Value data_of(Value records, Arena& arena) {
  const auto list = arena.array<Value>(records.size());
  for (size_t i = 0; i < list.size(); ++i) list[i] = records.elements()[i]["data"];
  return Value::list(list);
}

Value joined(Value first, const MoreRecords* more, Arena& arena) {
  size_t count = first.size();
  for (const MoreRecords* m = more; m != nullptr; m = m->next) count += m->records.size();
  const auto list = arena.array<Value>(count);
  for (const MoreRecords* m = more; m != nullptr; m = m->next) {
    count -= m->records.size();
    std::copy(m->records.elements().begin(), m->records.elements().end(), list.begin() + static_cast<ptrdiff_t>(count));
  }
  std::copy(first.elements().begin(), first.elements().end(), list.begin());
  return Value::list(list);
}

/// Of the id and the first question, without regard to case (RFC 4343).
uint64_t question_key(Bytes question, uint16_t id) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const uint8_t c : question) hash = (hash ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * 0x100000001B3;
  return hash << 16 | id;
}

}  // namespace

Shape survey(Bytes m) {
  Shape s;
  if (m.size() < kHeaderBytes) return s;
  s.header = read_header(m);
  size_t at = s.size = kHeaderBytes;
  for (; s.questions < s.header.questions; ++s.questions) {
    const size_t behind = skip_name(m, at);
    if (behind == 0 || behind + 4 > m.size() || !question_class_ok(load_be16(&m[behind + 2]))) return s;
    // A name that cannot be read (a loop, too long) makes the message malformed.
    if (!is_name(m, at)) return s;
    if (s.questions == 0) {
      s.key = question_key(m.subspan(at, behind + 4 - at), s.header.id);
      s.question_type = load_be16(&m[behind]);
      s.netbios = is_netbios(m, s.question_type);
    }
    at = s.size = behind + 4;
  }
  if (s.questions == 0) s.key = question_key({}, s.header.id);
  s.question_ok = true;
  if (s.questions == 0)  // an answer of NetBIOS repeats no question
    if (const size_t behind = skip_name(m, at); behind != 0 && behind + 2 <= m.size())
      s.netbios = is_netbios(m, load_be16(&m[behind]));
  const struct {
    uint16_t promised;
    uint16_t* found;
  } sections[] = {
      {s.header.answers, &s.answers}, {s.header.authorities, &s.authorities}, {s.header.additionals, &s.additionals}};
  for (const auto& section : sections) {
    for (; *section.found < section.promised; ++*section.found) {
      const size_t behind = skip_name(m, at);
      if (behind == 0 || behind + 10 > m.size()) return s;
      const size_t end = behind + 10 + load_be16(&m[behind + 8]);
      if (end > m.size()) return s;
      if (m[at] != 0 && !is_name(m, at)) return s;
      at = s.size = end;
    }
  }
  s.whole = true;
  return s;
}

namespace {

/// RFC 1035 4.1.1, RFC 6895 2: an opcode in use, the reserved bit zero; a query has no rcode.
bool plausible_flags(const Header& h) {
  const unsigned opcode = h.opcode();
  return opcode <= 6 && opcode != 3 && (h.flags & 0x0040) == 0 && (h.is_response() || h.rcode() == 0);
}

/// Something is in it. Only mDNS asks several questions, mostly with id 0 (RFC 6762 18.1), or with others that nobody
/// looks at; all of them are read, so that more of them are not easier met by chance.
bool plausible(const Header& h) {
  return plausible_flags(h) && h.questions + h.answers + h.authorities + h.additionals != 0 && h.questions <= 64;
}

}  // namespace

bool plausible(const Shape& s) { return s.question_ok && !s.netbios && plausible(s.header); }

bool may_become_plausible(Bytes m) {
  if (m.size() < 4) return true;
  if (m.size() < kHeaderBytes) return plausible_flags({.flags = load_be16(&m[2])});
  const Header h = read_header(m);
  if (!plausible(h)) return false;
  if (h.questions == 0) return true;
  size_t at = kHeaderBytes;
  while (at < m.size() && m[at] != 0) {  // nothing is before the first name that a pointer could mean
    if (m[at] > 63 || at - kHeaderBytes > 255) return false;
    at += 1u + m[at];
  }
  return at + 5 > m.size() || question_class_ok(load_be16(&m[at + 3]));
}

Value request_payload(Bytes m, const Shape& s, bool multicast, Arena& arena) {
  Builder b(m, multicast, arena);
  auto* const r = static_cast<Member*>(arena.allocate(11 * sizeof(Member), alignof(Member)));
  size_t n = 0;
  const auto add = [&](std::string_view name, Value value) { new (r + n++) Member{name, value}; };
  const Builder::Questions q = b.questions(s.questions);
  add("opCode", opcode_name(s.header.opcode()));
  add("questions", q.all);
  add("id", s.header.id);
  add("flags", flags(s.header, arena));
  add("questionNames", q.names);
  add("questionTypes", q.types);
  // RFC 2136 updates, RFC 1996 notifications and known answers of mDNS ask with records.
  if (s.answers > 0) add("answers", b.records(s.answers));
  if (s.authorities > 0) add("authorities", b.records(s.authorities));
  if (s.additionals > 0) add("additionals", b.records(s.additionals));
  if (!b.edns().is_null()) add("edns", b.edns());
  if (s.cut) add("truncated", true);
  return Value::map({r, n});
}

Value response_payload(Bytes m, const Shape& s, bool multicast, const MoreRecords* more, Arena& arena) {
  Builder b(m, multicast, arena);
  const Builder::Questions q = b.questions(s.questions);
  Value answers = b.records(s.answers);
  const Value authorities = b.records(s.authorities), additionals = b.records(s.additionals);
  if (more != nullptr) answers = joined(answers, more, arena);
  const unsigned rcode = b.extended_rcode() << 4 | s.header.rcode();  // RFC 6891 6.1.3

  auto* const r = static_cast<Member*>(arena.allocate(13 * sizeof(Member), alignof(Member)));
  size_t n = 0;
  const auto add = [&](std::string_view name, Value value) { new (r + n++) Member{name, value}; };
  add("code", rcode_name(rcode));
  add("answers", answers);
  add("authorities", authorities);
  add("additionals", additionals);
  add("opCode", opcode_name(s.header.opcode()));
  add("questions", q.all);
  add("id", s.header.id);
  add("rcode", rcode);
  add("rcodeName", rcode_mnemonic(rcode));
  add("flags", flags(s.header, arena));
  add("answerData", data_of(answers, arena));
  if (!b.edns().is_null()) add("edns", b.edns());
  if (s.cut) add("truncated", true);
  return Value::map({r, n});
}

Value answer_list(Bytes m, const Shape& s, bool multicast, Arena& arena) {
  Builder b(m, multicast, arena);
  b.questions(s.questions);
  return b.records(s.answers);
}

}  // namespace baleen::dissect::dns
