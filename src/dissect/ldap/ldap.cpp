#include "dissect/ldap/ldap.h"

#include "dissect/ldap/operation.h"

namespace baleen::dissect::ldap {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {389, 3268};
constexpr Field kFields[] = {
    {"request.type", "ldap_type", kString,
     "The operation: bind, search, modify, add, delete, modifyDN, compare, abandon, extended, unbind."},
    {"request.summary", "ldap_summary", kString, "The entry that the operation is about; of a search with its filter."},
    {"request", "ldap_request", kBool, "Whether there is a request."},
    {"response", "ldap_response", kBool, "Whether there is a response."},
    {"requestSize", "ldap_request_length", kInt, "Bytes of the request."},
    {"responseSize", "ldap_response_length", kInt, "Bytes of all messages of the response."},
    {"size", "ldap_total_size", kInt, "Bytes of request and response."},
    {"request.messageId", "", kInt, "Number of the operation within its connection."},
    {"request.name", "", kString, "Who binds."},
    {"request.authentication", "", kString, "anonymous, simple, sasl, sicily (NTLM) or other."},
    {"request.mechanism", "", kString, "SASL mechanism."},
    {"request.password", "", kString, "Password of a simple bind.", true},
    {"request.credentials", "", kBytes, "SASL credentials.", true},
    {"request.requestValue", "", kBytes, "Value of an extended request; of Password Modify it holds passwords.", true},
    {"request.baseObject", "", kString, "Where a search begins."},
    {"request.scope", "", kString, "baseObject, singleLevel, wholeSubtree or subordinateSubtree."},
    {"request.filter", "", kString, "The search filter as RFC 4515 writes it."},
    {"request.attributes", "", kList, "Attributes that a search asks for; of add a map of those that the entry has."},
    {"request.entry", "", kString, "The entry that is added, deleted, renamed or compared."},
    {"request.object", "", kString, "The entry that is modified."},
    {"request.changes", "", kList, "Changes: operation, type and values."},
    {"request.requestName", "", kString, "Object identifier of an extended request."},
    {"request.requestLabel", "", kString, "Its name: StartTLS, Password Modify."},
    {"request.userIdentity", "", kString, "Whose password is modified."},
    {"request.abandonedMessageId", "", kInt, "Number of the operation that is abandoned."},
    {"request.controls", "", kList, "Controls: type, name, criticality and value."},
    {"response.type", "", kString, "As in the request."},
    {"response.resultCode", "", kInt, "Result code; 0 is success."},
    {"response.status", "", kString, "Name of the result code: success, invalidCredentials, noSuchObject."},
    {"response.matchedDN", "", kString, "How far the name was found."},
    {"response.errorMessage", "", kString, "The server's diagnostic message."},
    {"response.entries", "", kList, "What a search found: dn and attributes; the first 256."},
    {"response.entryCount", "", kInt, "How many entries a search found."},
    {"response.references", "", kList, "Where else a search may go on."},
    {"response.intermediates", "", kList, "Answers before the last: responseName, responseLabel, responseValue."},
    {"response.authorizationId", "", kString, "Who the server says that the client is."},
    {"response.responseName", "", kString, "Object identifier of an extended response."},
    {"response.controls", "", kList, "Controls: type, name, criticality and value."},
    {"response.referral", "", kList, "Where else to ask."},
    {"response.serverSaslCreds", "", kBytes, "The server's part of a SASL bind.", true},
    {"response.responseValue", "", kBytes, "Value of an extended response.", true},
};

constexpr uint64_t kMaxMessage = 64 << 20, kMaxSealed = 16 << 20;
constexpr size_t kMaxEntries = 256;

/// What an operation has brought so far; in its item's arena.
struct Found {
  ListOf entries, references, intermediates;
  uint64_t count = 0, size = 0, kept_bytes = 0;
  Timestamp first{};
  bool any = false, capped = false;
  explicit Found(Arena& arena) : entries(arena), references(arena), intermediates(arena) {}
  size_t kept() const { return entries.size() + references.size() + intermediates.size(); }
};

/// While an item waits, its response's payload is a carrier of the address of its Found (null: none yet).
Found* found_of(const Item* item) {
  const std::string_view carrier = item->data.payload.text();
  Found* out = nullptr;
  if (carrier.size() == sizeof out) std::memcpy(&out, carrier.data(), sizeof out);
  return out;
}

Found& need_found(Item* item) {
  if (Found* have = found_of(item)) return *have;
  auto* const made = new (item->arena.allocate(sizeof(Found), alignof(Found))) Found(item->arena);
  item->data.payload = Value::bytes(item->arena.copy(Bytes{reinterpret_cast<const uint8_t*>(&made), sizeof made}));
  return *made;
}

/// The head of a message: a sequence with an integer and the tag of an operation.
Probe head_at(Direction d, Bytes b, bool& whole) {
  whole = false;
  if (b.empty()) return Probe::kUnsure;
  if (b[0] != 0x30) return Probe::kNo;
  const BerHead outer = ber_head(b);
  if (!outer.ok) return Probe::kNo;
  if (outer.size == 0) return Probe::kUnsure;
  if (outer.size < 7 || outer.size > kMaxMessage) return Probe::kNo;
  const Bytes inner = b.subspan(std::min(outer.head, b.size()));
  if (inner.size() < 2) return inner.empty() || inner[0] == 2 ? Probe::kUnsure : Probe::kNo;
  const size_t n = inner[1];
  if (inner[0] != 2 || n < 1 || n > 5) return Probe::kNo;
  if (inner.size() < n + 3) return Probe::kUnsure;
  if ((inner[2] & 0x80) != 0) return Probe::kNo;  // message identifiers are not negative
  const uint8_t operation = inner[2 + n];
  if (!is_operation(operation) || is_request(operation) != (d == Direction::kToServer)) return Probe::kNo;
  const BerHead op = ber_head(inner.subspan(2 + n));
  if (!op.ok) return Probe::kNo;
  if (op.size == 0 && inner.size() >= n + 8) return operation == kUnbindRequest ? Probe::kYes : Probe::kNo;
  if (op.size == 0) return Probe::kUnsure;
  if (outer.head + 2 + n + op.size > outer.size) return Probe::kNo;
  whole = b.size() >= outer.size;
  return Probe::kYes;
}

void add_found(Found& found, bool search, MapOf& map) {
  if (search) {
    map.add("entryCount", found.count);
    map.add("entries", found.entries.build());
  }
  if (!found.references.empty()) map.add("references", found.references.build());
  if (!found.intermediates.empty()) map.add("intermediates", found.intermediates.build());
  if (found.capped) map.add("truncated", true);
}

/// An operation whose end is missing still shows what it brought.
void show_found(Item* item) {
  Found* const found = found_of(item);
  if (found == nullptr || !found->any) return;
  MapOf map(item->arena);
  map.add("type", "search");
  map.add("messageId", static_cast<int64_t>(item->match_key));
  add_found(*found, true, map);
  if (!found->capped) map.add("truncated", true);
  item->response = {map.build(), found->first, found->size, true};
}

/// Where messages begin within what a SASL layer wraps, or nowhere: a layer that only signs leaves them as they are,
/// behind the length (RFC 2831 2.3), behind 16 bytes of signature (MS-NLMP 2.2.2.9, RFC 4121 4.2.6.2) or with the
/// checksum of twelve bytes turned in front (RFC 4121 4.2.5).
Bytes readable(Direction d, Bytes record) {
  for (const size_t at : {4u, 20u, 32u}) {
    if (at >= record.size()) break;
    bool whole = false;
    if (head_at(d, record.subspan(at), whole) == Probe::kYes && whole) return record.subspan(at);
  }
  return {};
}

}  // namespace

const item::Protocol Ldap::kProtocol = {
    .name = "ldap",
    .version = "3",
    .abbreviation = "LDAP",
    .long_name = "Lightweight Directory Access Protocol",
    .macro = "ldap",
    .reference = "https://datatracker.ietf.org/doc/html/rfc4511",
    .background = "#2f6f4f",
    .foreground = "#ffffff",
    .priority = 6,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.type",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Ldap::probe(const Input& in) {
  bool whole = false;
  const Probe p = head_at(in.direction, in.bytes, whole);
  return in.datagram && !whole ? Probe::kNo : p;
}

Probe Ldap::begins(Direction direction, Bytes bytes) {
  bool whole = false;
  return head_at(direction, bytes, whole);
}

Measure Ldap::measure(Direction, Bytes b) const {
  if (sealed_) {  // SASL wraps messages behind a length of four bytes (RFC 4422 3.7)
    if (b.size() < 4) return Measure::need(4);
    if (b[0] != 0x30) {
      const uint64_t size = load_be32(b.data());
      return size > kMaxSealed ? Measure::bad() : Measure::frame(size + 4);
    }
  }
  if (b[0] != 0x30) return Measure::bad();
  const BerHead h = ber_head(b);
  if (!h.ok || h.size > kMaxMessage) return Measure::bad();
  return h.size == 0 ? Measure::need(b.size() < 2 ? 2 : 2 + (b[1] & 0x7F)) : Measure::frame(h.size);
}

Step Ldap::message(const Frame& frame, Output& out) {
  if (frame.bytes[0] != 0x30) return sealed(frame, out);
  if (frame.cut) {
    out.count(Counter::kMessageTooLong);
    return Step::took(frame.size);
  }
  const Envelope m = read_envelope(frame.bytes);
  if (!m.ok) return Step::lost();
  return is_request(m.operation) ? request(frame, m.id, out) : response(frame, m.id, m.operation, out);
}

/// The messages in a SASL layer's record, where they can be read. What a record leaves of a message to the next is
/// skipped with it.
Step Ldap::sealed(const Frame& frame, Output& out) {
  for (Bytes rest = readable(frame.direction, frame.bytes); !rest.empty();) {
    bool whole = false;
    if (head_at(frame.direction, rest, whole) != Probe::kYes || !whole) break;
    const auto size = static_cast<size_t>(ber_head(rest).size);
    const Frame inner{frame.direction, rest.first(size), size, frame.time, false, false};
    if (message(inner, out).kind != Step::Kind::kTook) break;
    rest = rest.subspan(size);
  }
  return Step::took(frame.size);
}

/// A number that is used again says that nobody waits for the operation that had it (RFC 4511 4.1.1.1).
void Ldap::replace(uint32_t id, Output& out) {
  while (Item* const old = waiting_.take(id)) give_up(old, out);
}

Step Ldap::request(const Frame& frame, uint32_t id, Output& out) {
  Item* const item = out.begin(kProtocol);
  Arena& arena = item->arena;
  const Envelope m = read_envelope(arena.copy(frame.bytes));
  MapOf map(arena);
  map.add("type", type_name(m.operation));
  map.add("messageId", static_cast<int64_t>(id));
  describe_request(m, map, arena);
  add_controls(m.controls, map, arena);
  set(item->request, map.build(), frame);
  // Neither is answered (RFC 4511 4.3, 4.11); an abandoned operation may be answered or not.
  if (m.operation == kUnbindRequest || m.operation == kAbandonRequest) {
    out.finish(item);
    return Step::took(frame.size);
  }
  if (!frame.is_datagram) replace(id, out);  // a datagram may be sent again
  wait(id, item, out);
  return Step::took(frame.size);
}

Step Ldap::response(const Frame& frame, uint32_t id, uint8_t operation, Output& out) {
  const bool more = operation == kSearchEntry || operation == kSearchReference || operation == kIntermediateResponse;
  Item* item = waiting_.find(id);
  if (item == nullptr) {  // all that answers one question that nobody saw is one item as well
    item = begin_orphan(kProtocol, out);
    item->match_key = id;
    item->data.time = frame.time;
    if (more) wait(id, item, out);
  } else if (!more) {
    waiting_.take(id);
  }
  Arena& arena = item->arena;
  Found& found = need_found(item);
  if (!found.any) found.first = frame.time;
  found.any = true;
  found.size += frame.size;
  if (more) {
    found.count += operation == kSearchEntry;
    if (found.kept() >= kMaxEntries || found.kept_bytes + frame.bytes.size() > out.settings().body_cap) {
      found.capped = true;
      return Step::took(frame.size);
    }
    found.kept_bytes += frame.bytes.size();
    const Envelope m = read_envelope(arena.copy(frame.bytes));
    if (operation == kSearchEntry) found.entries.push(describe_entry(m, arena));
    if (operation == kSearchReference) found.references.push(describe_uris(m.content, arena));
    if (operation == kIntermediateResponse) found.intermediates.push(describe_intermediate(m, arena));
    return Step::took(frame.size);
  }
  const Envelope m = read_envelope(arena.copy(frame.bytes));
  MapOf map(arena);
  map.add("type", type_name(operation));
  map.add("messageId", static_cast<int64_t>(id));
  describe_result(m, map, arena);
  Value value, name;
  int64_t code = -1;
  for (const item::Member& member : map.kept()) {
    if (member.name == "resultCode") code = member.value.as_int();
    if (member.name == "responseValue") value = member.value;
    if (member.name == "responseName") name = member.value;
  }
  const std::string_view asked = item->request.payload["requestName"].text();
  if (asked == kWhoAmI && !value.is_null()) map.add("authorizationId", text_or_bytes(value.text()));
  add_found(found, operation == kSearchDone, map);
  add_controls(m.controls, map, arena);
  item->response = {map.build(), found.first, found.size, true};
  item->data = {};
  // After a SASL bind a layer may wrap everything behind it; it shows by what follows being no message.
  const std::string_view authentication = item->request.payload["authentication"].text();
  if (operation == kBindResponse && authentication != "simple" && authentication != "anonymous") sealed_ = true;
  // RFC 4511 4.4.1: nobody asked for it.
  if (id == 0 && name.text() == kDisconnection) item->outcome = item::Outcome::kSingle;
  const bool tls = operation == kExtendedResponse && code == 0 && asked == kStartTls;
  out.finish(item);
  return tls ? Step::switch_to("tls", frame.size) : Step::took(frame.size);
}

void Ldap::give_up(Item* item, Output& out) {
  show_found(item);
  if (item->outcome == item::Outcome::kNoRequest) return out.finish(item);
  InOrderMatcher::finish_without_answer(item, out);
}

void Ldap::wait(uint32_t id, Item* item, Output& out) {
  if (waiting_.size() >= out.settings().pending_cap) {
    out.count(Counter::kTooManyPending);
    give_up(waiting_.take(waiting_.front()->match_key), out);
  }
  waiting_.push(id, item, out);
}

void Ldap::expire(Timestamp before, Output& out) {
  while (!waiting_.empty() && waiting_.front()->time() < before)
    give_up(waiting_.take(waiting_.front()->match_key), out);
}

void Ldap::close(bool, Output& out) {
  while (!waiting_.empty()) give_up(waiting_.take(waiting_.front()->match_key), out);
}

}  // namespace baleen::dissect::ldap
