#include "dissect/dns/dns.h"

#include <algorithm>

#include "dissect/dns/message.h"

namespace baleen::dissect::dns {

/// RFC 5936 2.2: the answers of one query come in several messages, until the SOA record comes again.
struct Transfer {
  item::Item* item;
  uint16_t id;
  bool multicast = false;
  Bytes first;  // the first message, in the arena
  MoreRecords* more = nullptr;
  uint64_t wire_size = 0;
  size_t kept = 0;
  Timestamp time;
  bool cut = false;  // records beyond kMaxTransferRecords were left out
};

namespace {

using item::Item;
using item::Outcome;

constexpr size_t kMaxTransferRecords = 1024;
constexpr size_t kMostPadding = 64;  // bytes behind a question
constexpr size_t kMostBehind = 16;   // bytes behind records
constexpr uint16_t kMdnsPort = 5353, kLlmnrPort = 5355;

/// What may stand behind the last record: nothing, or what Windows adds to a query for a zone transfer, to say that it
/// takes several records in a message.
bool is_end(Bytes rest) { return rest.empty() || as_text(rest) == "MS"; }

const item::Protocol* multicast_card(const Output& out) {
  const uint16_t a = out.client().port, b = out.server().port;
  if (a == kMdnsPort || b == kMdnsPort) return &Dns::kMulticast;
  if (a == kLlmnrPort || b == kLlmnrPort) return &Dns::kLinkLocal;
  return nullptr;
}

struct Soas {
  bool first = false, last = false;
  size_t count = 0;
};

/// Whether the first and the last answer are SOA records, which frame a zone transfer.
Soas soas_of(Bytes m, const Shape& s) {
  Soas out;
  size_t at = kHeaderBytes;
  for (size_t i = 0; i < s.questions; ++i) at = skip_name(m, at) + 4;
  for (size_t i = 0; i < s.answers; ++i) {
    const size_t behind = skip_name(m, at);
    const bool soa = load_be16(&m[behind]) == kSoa;
    out.count += soa;
    if (i == 0) out.first = soa;
    out.last = soa;
    at = behind + 10 + load_be16(&m[behind + 8]);
  }
  return out;
}

void mark_malformed(Item* item, const Shape& s, const Input& in, Output& out) {
  if (s.whole || in.missing != 0) return;
  if (item->outcome == Outcome::kPaired || item->outcome == Outcome::kSingle) item->outcome = Outcome::kDissection;
  item->error_message = "malformed or truncated record";
  out.count(Counter::kMalformed);
}

void set(item::Message& message, item::Value payload, Timestamp time, uint64_t size) {
  message.payload = payload;
  message.time = time;
  message.size = size;
  message.present = true;
}

/// Whether a message of one question goes the way that its QR bit says. Multicast DNS sends everything to all, with an
/// id of zero (RFC 6762 18.1).
bool goes_that_way(const Shape& s, Direction direction) {
  return s.questions != 1 || s.header.id == 0 || s.header.is_response() == (direction == Direction::kToClient);
}

}  // namespace

Probe Dns::probe(const Input& in) {
  const Bytes b = in.bytes;
  if (in.datagram) {
    const Shape s = survey(b);
    if (!goes_that_way(s, in.direction)) return Probe::kNo;
    if (in.missing != 0 && !s.whole) return s.questions > 0 && plausible(s) ? Probe::kYes : Probe::kNo;
    if (!s.whole || !plausible(s)) return Probe::kNo;
    // A plain question is known by itself, and some pad the datagram behind it; a few programs leave something behind
    // their only question and its records.
    const bool plain = !s.header.is_response() && s.questions == 1 && s.size > kHeaderBytes + 5 && s.answers == 0 &&
                       s.authorities == 0 && s.additionals == 0;
    const size_t most = plain ? kMostPadding : s.questions == 1 ? kMostBehind : 0;
    return b.size() - s.size <= most ? Probe::kYes : Probe::kNo;
  }
  const Probe more = in.end_of_stream ? Probe::kNo : Probe::kUnsure;
  if (b.size() < 2) return more;
  const size_t size = load_be16(b.data());
  if (size < kHeaderBytes + 5) return Probe::kNo;  // with the shortest question
  if (b.size() < size + 2) return may_become_plausible(b.subspan(2)) ? more : Probe::kNo;
  const Bytes message = b.subspan(2, size);
  const Shape s = survey(message);
  return s.whole && plausible(s) && is_end(message.subspan(s.size)) ? Probe::kYes : Probe::kNo;
}

Step Dns::dissect(const Input& in, Output& out) {
  if (in.datagram) {
    message(in, in.bytes, in.bytes.size(), out);
    return Step::took(in.bytes.size());
  }
  // RFC 1035 4.2.2, RFC 7766 8: the length in front.
  if (in.bytes.size() < 2) return Step::need(2);
  const size_t size = load_be16(in.bytes.data());
  if (size < kHeaderBytes) return Step::lost();
  if (in.bytes.size() < size + 2) return Step::need(size + 2);
  message(in, in.bytes.subspan(2, size), size + 2, out);
  return Step::took(size + 2);
}

void Dns::message(const Input& in, Bytes message, uint64_t wire_size, Output& out) {
  Shape shape = survey(message);
  shape.cut = !shape.whole && in.missing != 0;
  // One whose first question can be read still says whose question or answer it is.
  if ((!shape.question_ok && shape.questions == 0) || shape.netbios) return out.count(Counter::kMalformed);
  if (const item::Protocol* card = multicast_card(out)) return single(*card, in, message, shape, wire_size, out);
  // The QR bit says who speaks, not the direction: a server may ask its client on the same connection (RFC 7766 6.2.1).
  shape.header.is_response() ? answer(in, message, shape, wire_size, out) : query(in, message, shape, wire_size, out);
}

void Dns::single(const item::Protocol& card, const Input& in, Bytes message, const Shape& shape, uint64_t wire_size,
                 Output& out) {
  Item* const item = out.begin(card);
  item->outcome = Outcome::kSingle;
  if (shape.header.is_response()) {
    set(item->response, response_payload(message, shape, true, nullptr, item->arena), in.time, wire_size);
  } else {
    set(item->request, request_payload(message, shape, true, item->arena), in.time, wire_size);
  }
  mark_malformed(item, shape, in, out);
  out.finish(item);
}

void Dns::query(const Input& in, Bytes message, const Shape& shape, uint64_t wire_size, Output& out) {
  Item* item = in.datagram ? early_.take(shape.key, in.time, out) : nullptr;
  const bool answered = item != nullptr;
  if (!answered) item = out.begin(kProtocol);
  item->match_key = shape.key;
  set(item->request, request_payload(message, shape, false, item->arena), in.time, wire_size);
  mark_malformed(item, shape, in, out);
  answered ? out.finish(item) : waiting_.push(item, out);
}

item::Item* Dns::take(const Shape& shape) {
  // An answer without a question (RFC 1035 7.3: a format error; RFC 5936 2.2: later messages) is known by its id alone.
  const auto wanted = [&](const Item* item) {
    return shape.questions > 0 ? item->match_key == shape.key : (item->match_key & 0xFFFF) == shape.header.id;
  };
  if (waiting_.empty()) return nullptr;
  Item* const item = wanted(waiting_.front()) ? waiting_.pop() : waiting_.take_after_front(wanted);
  if (item != nullptr) early_.note_answered(item->match_key);
  return item;
}

void Dns::answer(const Input& in, Bytes message, const Shape& shape, uint64_t wire_size, Output& out) {
  const Soas soas = soas_of(message, shape);
  if (transfer_ != nullptr && transfer_->id == shape.header.id) {
    Transfer& t = *transfer_;
    t.wire_size += wire_size;
    if (t.kept + shape.answers <= kMaxTransferRecords) {
      t.kept += shape.answers;
      t.more = t.item->arena.make<MoreRecords>(MoreRecords{answer_list(message, shape, false, t.item->arena), t.more});
    } else {
      t.cut = true;
    }
    if (soas.last || shape.header.rcode() != 0) end_transfer(nullptr, out);
    return;
  }
  Item* item = take(shape);
  const bool early = item == nullptr && in.datagram && shape.questions > 0 && early_.may_be(shape.key);
  if (item == nullptr) {
    item = out.begin(kProtocol);
    item->outcome = Outcome::kNoRequest;
    if (!early) out.count(Counter::kHalfResponses);
  }
  mark_malformed(item, shape, in, out);
  const bool transfer = !in.datagram && (shape.question_type == kAxfr || shape.question_type == kIxfr);
  if (transfer && soas.first && soas.count == 1 && shape.answers > (shape.question_type == kIxfr ? 1 : 0) &&
      shape.whole && shape.header.rcode() == 0) {
    end_transfer("another transfer began", out);
    transfer_ = item->arena.make<Transfer>(Transfer{.item = item,
                                                    .id = shape.header.id,
                                                    .first = item->arena.copy(message),
                                                    .wire_size = wire_size,
                                                    .kept = shape.answers,
                                                    .time = in.time});
    return;
  }
  set(item->response, response_payload(message, shape, false, nullptr, item->arena), in.time, wire_size);
  early ? early_.keep(shape.key, item, out) : out.finish(item);
}

void Dns::end_transfer(const char* error, Output& out) {
  Transfer* const t = std::exchange(transfer_, nullptr);
  if (t == nullptr) return;
  Item* const item = t->item;
  set(item->response, response_payload(t->first, survey(t->first), false, t->more, item->arena), t->time, t->wire_size);
  if (t->cut) out.count(Counter::kBodyCapped);
  if (error != nullptr) {
    if (item->outcome == Outcome::kPaired) item->outcome = Outcome::kDissection;
    item->error_message = error;
    out.count(Counter::kMalformed);
  }
  out.finish(item);
}

bool Dns::gap(Direction direction, uint64_t, Output& out) {
  // Queries and answers are known by their ids: what was lost spoils nothing else. Only a transfer has lost its order.
  if (direction == Direction::kToClient) end_transfer("bytes of the transfer were lost", out);
  return false;
}

Resync Dns::resync(const Input& in) {
  // A length, a plausible header and a whole message that ends where the length says.
  const Bytes b = in.bytes;
  for (size_t at = 0;; ++at) {
    const Bytes rest = b.subspan(at);
    if (rest.size() < 2 + kHeaderBytes) return {at, false};
    const size_t size = load_be16(rest.data());
    const Header h = read_header(rest.subspan(2));
    const bool sane = size >= kHeaderBytes + 5 && size <= 4096 && h.questions <= 1 && h.opcode() <= 6 &&
                      (h.flags & 0x0040) == 0 && h.questions + h.answers > 0 && h.answers <= 512 &&
                      h.authorities <= 64 && h.additionals <= 64;
    if (!sane) continue;
    if (rest.size() < size + 2) {
      if (!in.end_of_stream) return {at, false};
      continue;
    }
    const Shape s = survey(rest.subspan(2, size));
    if (s.whole && plausible(s) && is_end(rest.subspan(2 + s.size, size - s.size))) return {at, true};
  }
}

void Dns::expire(Timestamp before, Output& out) {
  early_.drop_before(before, out);
  waiting_.expire(before, out);
}

void Dns::close(bool, Output& out) {
  end_transfer("unexpected EOF", out);
  early_.finish_all(out);
  waiting_.finish_all(out);
}

}  // namespace baleen::dissect::dns
