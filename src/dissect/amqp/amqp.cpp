// A frame is a type, a channel, a size, that many bytes and the octet 0xCE (AMQP 0-9-1 4.2.3). Methods of one channel
// follow one another, but channels are independent, so what waits for its content or its answer is kept by channel.
// Calls go both ways (a server may close a channel, and it starts the connection): the request of an item is the call,
// whoever made it.

#include "dissect/amqp/amqp.h"

#include "dissect/build.h"
#include "dissect/kept_text.h"

namespace baleen::dissect::amqp {

using item::Field;
using item::Item;
using item::Outcome;
using item::Value;
using enum item::FieldType;

/// A method that waits for its content header and body.
struct Content {
  Item* item;
  Content* next;
  const Method* method;
  uint16_t channel;
  Direction direction;
  bool is_answer;       // get-ok
  uint64_t number = 0;  // of a publish that is to be confirmed
  bool has_header = false, capped = false;
  Value arguments, properties;
  uint64_t expected = 0, seen = 0, wire_size = 0;
  Timestamp time;
  KeptText text;
};

namespace {

constexpr uint16_t kPorts[] = {5672, 5671};
constexpr Field kFields[] = {
    {"request.method", "amqp_method", kString, "Class and method: basic.publish, queue.declare."},
    {"request.summary", "amqp_summary", kString, "The queue, exchange, routing key, virtual host or tag in question."},
    {"request.channel", "", kInt, "Number of the channel; 0 is the connection itself."},
    {"request.fields", "", kMap,
     "The method's arguments by their names, with `properties`, `body` and `bodySize` where it has a content."},
    {"request.deliveryTag", "", kInt,
     "Number of a publish on a channel with publisher confirms, counted since confirm.select."},
    {"request.confirm", "", kString,
     "What the broker said of a publish, ACK or NACK, alone or together with others; missing where it said nothing."},
    {"request.returned", "", kMap,
     "Of a publish that waits for its confirmation: the code and the text with which a basic.return brought it back."},
    {"request.publishedBy", "", kInt,
     "Of a basic.return: the number within the stream of the item whose publish it brings back; where that one waits "
     "for its confirmation, `request.deliveryTag` says which."},
    {"request", "amqp_request", kBool, "Whether there is a request."},
    {"response", "amqp_response", kBool, "Whether there is a response."},
    {"requestSize", "amqp_request_length", kInt, "Bytes of the request, content and frames included."},
    {"responseSize", "amqp_response_length", kInt, "Bytes of the response."},
    {"size", "amqp_total_size", kInt, "Bytes of request and response."},
    {"response.method", "", kString,
     "The answering method: queue.declare-ok; basic.ack or basic.nack for the last publish that it confirms."},
    {"response.fields", "", kMap, "The answer's arguments; those of get-ok with the message."},
    {"response.status", "", kString, "OK, or what was answered instead: NACK, EMPTY, a reply code."},
    {"request.fields.response", "", kString, "The client's credentials.", true},
    {"response.fields.response", "", kString, "The client's credentials.", true},
    {"request.fields.newSecret", "", kString, "A renewed credential.", true},
};

constexpr size_t kFrameHead = 7, kFrameEnd = 1;
constexpr uint32_t kMaxFrame = 16 << 20;
constexpr uint8_t kEnd = 0xCE;
constexpr std::string_view kPreamble = "AMQP";
constexpr size_t kMaxContents = 256;

/// The head of a frame as far as it is there: kUnsure, kNo, or kYes with a method that is known.
Probe frame_at(Bytes b) {
  if (b.empty()) return Probe::kUnsure;
  if (b[0] < 1 || (b[0] > 3 && b[0] != 8)) return Probe::kNo;
  if (b.size() < kFrameHead) return Probe::kUnsure;
  const uint32_t size = load_be32(&b[3]);
  if (size > kMaxFrame) return Probe::kNo;
  if (b[0] == 1) {
    if (size < 4) return Probe::kNo;
    if (b.size() < 11) return Probe::kUnsure;
    if (find_method(load_be16(&b[7]), load_be16(&b[9])) == nullptr) return Probe::kNo;
  }
  if (b[0] == 2) {
    if (size < 14) return Probe::kNo;
    if (b.size() < 11) return Probe::kUnsure;
    if (load_be16(&b[7]) != 60 || load_be16(&b[9]) != 0) return Probe::kNo;
  }
  if ((b[0] == 2 || b[0] == 3) && b[1] == 0 && b[2] == 0) return Probe::kNo;  // channel 0 has no contents
  if (b[0] == 8 && (size != 0 || b[1] != 0 || b[2] != 0)) return Probe::kNo;
  const size_t end = kFrameHead + size;
  if (b.size() <= end) return Probe::kUnsure;
  return b[end] == kEnd ? Probe::kYes : Probe::kNo;
}

std::string_view summary_of(Value fields) {
  for (const std::string_view name : {"queue", "routingKey", "exchange", "virtualHost", "destination", "consumerTag",
                                      "replyText", "mechanism", "reason", "product"})
    if (const std::string_view text = fields[name].text(); !text.empty()) return text;
  return {};
}

Value with_content(const Content& content, Arena& arena) {
  MapOf map(arena);
  for (const item::Member& m : content.arguments.members()) map.push(m);
  map.add("properties", content.properties);
  map.add("body", text_or_bytes(content.text.view(), content.seen > content.text.size()));
  map.add("bodySize", content.expected);
  if (content.seen < content.expected || content.seen > content.text.size()) map.add("truncated", true);
  return map.build();
}

Value call_payload(const Method& method, uint16_t channel, Value fields, Arena& arena, uint64_t number = 0) {
  MapOf map(arena);
  map.add("method", method.name);
  map.add("channel", static_cast<int64_t>(channel));
  map.add("summary", summary_of(fields));
  map.add("fields", fields);
  if (number > 0) map.add("deliveryTag", number);
  return map.build();
}

bool is_basic(const Method& m, uint16_t method_id) { return m.class_id == 60 && m.method_id == method_id; }

/// Adds to what a call's item says.
void add_member(Item* call, std::string_view name, Value value) {
  MapOf map(call->arena);
  for (const item::Member& m : call->request.payload.members()) map.push(m);
  map.add(name, value);
  call->request.payload = map.build();
}

/// Notes in a publish what the broker said of it.
void add_confirm(Item* publish, std::string_view said) { add_member(publish, "confirm", said); }

Value answer_payload(const Method& method, Value fields, Arena& arena) {
  MapOf map(arena);
  map.add("method", method.name);
  map.add("fields", fields);
  map.add("status", is_basic(method, 72) ? "EMPTY" : is_basic(method, 120) ? "NACK" : "OK");
  return map.build();
}

/// What Item::match_key holds while an item waits: the channel and the method's place.
uint64_t key_of(uint16_t channel, const Method& m) {
  return uint64_t{channel} << 32 | uint64_t{m.class_id} << 16 | m.method_id;
}
uint16_t channel_of(const Item* item) { return static_cast<uint16_t>(item->match_key >> 32); }
const Method* method_of(const Item* item) {
  return find_method(static_cast<uint16_t>(item->match_key >> 16), static_cast<uint16_t>(item->match_key));
}

bool no_wait(Value fields) { return fields["noWait"].as_bool(); }

}  // namespace

const item::Protocol Amqp::kProtocol = {
    .name = "amqp",
    .version = "0-9-1",
    .abbreviation = "AMQP",
    .long_name = "Advanced Message Queuing Protocol 0-9-1",
    .macro = "amqp",
    .reference = "https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf",
    .background = "#ff6600",
    .foreground = "#ffffff",
    .priority = 1,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.method",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Amqp::probe(const Input& in) {
  const Bytes b = in.bytes;
  if (!b.empty() && b[0] == 'A') {
    // The protocol header, of this version or of any that a server will refuse in words of 0-9-1.
    const size_t n = std::min(b.size(), kPreamble.size());
    if (as_text(b.first(n)) != kPreamble.substr(0, n)) return Probe::kNo;
    if (b.size() < 8) return Probe::kUnsure;
    return (b[4] == 0 && b[5] == 0 && b[6] == 9 && b[7] == 1) ? Probe::kYes : Probe::kNo;
  }
  return frame_at(b);
}

Measure Amqp::measure(Direction, Bytes b) const {
  if (b[0] == 'A') {
    if (b.size() < 8) return Measure::need(8);
    return as_text(b.first(4)) == kPreamble ? Measure::frame(8) : Measure::bad();
  }
  if (b[0] < 1 || (b[0] > 3 && b[0] != 8)) return Measure::bad();
  if (b.size() < kFrameHead) return Measure::need(kFrameHead);
  const uint32_t size = load_be32(&b[3]);
  return size > kMaxFrame ? Measure::bad() : Measure::frame(kFrameHead + uint64_t{size} + kFrameEnd);
}

Probe Amqp::begins(Direction, Bytes b) {
  // A body frame is too easily taken for something else.
  return b[0] == 3 ? Probe::kNo : frame_at(b);
}

Step Amqp::message(const Frame& frame, Output& out) {
  if (frame.bytes[0] == 'A') return Step::took(frame.size);
  if (!frame.cut && frame.bytes.back() != kEnd) return Step::lost();
  switch (frame.bytes[0]) {
    case 1: method(frame, out); break;
    case 2: header(frame, out); break;
    case 3: body(frame, out); break;
    default: break;  // heartbeat
  }
  return Step::took(frame.size);
}

item::Item* Amqp::take(uint16_t channel, const Method& answer) {
  const auto wanted = [&](const Item* i) {
    if (channel_of(i) != channel) return false;
    const Method* call = method_of(i);
    return call != nullptr && answers(*call, answer);
  };
  if (waiting_.empty()) return nullptr;
  return wanted(waiting_.front()) ? waiting_.pop() : waiting_.take_after_front(wanted);
}

void Amqp::method(const Frame& frame, Output& out) {
  ByteReader head(frame.bytes);
  head.u8();
  const uint16_t channel = head.be16();
  head.be32();
  const uint16_t class_id = head.be16(), method_id = head.be16();
  const Method* const m = find_method(class_id, method_id);
  if (!head.ok() || m == nullptr) return out.count(Counter::kMalformed);
  follow_channel(frame, channel, *m, out);
  if (confirm(frame, channel, *m, out)) return;

  Item* item = m->role == Role::kAnswer ? take(channel, *m) : nullptr;
  const bool orphan = m->role == Role::kAnswer && item == nullptr;
  if (orphan) item = begin_orphan(kProtocol, out);
  if (item == nullptr) item = out.begin(kProtocol);

  const Bytes copy = item->arena.copy(frame.bytes);
  ByteReader r(copy.subspan(0, copy.size() - (frame.cut ? 0 : kFrameEnd)));
  r.skip(11);
  const Value fields = decode_arguments(*m, r, item->arena);
  if (!r.ok() && !orphan) mark_malformed(item, "arguments of the method are missing", out);

  const bool get_ok = m->role == Role::kAnswer && class_id == 60 && method_id == 71;
  if (m->role == Role::kContent || get_ok) {
    const uint64_t number = is_basic(*m, 40) && confirms_ != nullptr ? confirms_->number(frame.direction, channel) : 0;
    size_t many = 0;
    Content** last = &contents_[static_cast<size_t>(frame.direction)];
    for (; *last != nullptr && (*last)->channel != channel; last = &(*last)->next) ++many;
    // The channel's content before this one never became whole.
    if (Content* old = *last; old != nullptr) {
      *last = old->next;
      complete(old, out);
      last = &contents_[static_cast<size_t>(frame.direction)];
    }
    Content* const content = item->arena.make<Content>(Content{.item = item,
                                                               .next = *last,
                                                               .method = m,
                                                               .channel = channel,
                                                               .direction = frame.direction,
                                                               .is_answer = get_ok,
                                                               .number = number,
                                                               .arguments = fields,
                                                               .wire_size = frame.size,
                                                               .time = frame.time});
    if (many >= kMaxContents) {
      content->next = nullptr;
      out.count(Counter::kTooManyPending);
      return complete(content, out);
    }
    *last = content;
    return;
  }
  if (m->role == Role::kAnswer) {
    set(item->response, answer_payload(*m, fields, item->arena), frame);
    return out.finish(item);
  }
  set(item->request, call_payload(*m, channel, fields, item->arena), frame);
  item->match_key = key_of(channel, *m);
  if (m->role == Role::kAlone || no_wait(fields)) return out.finish(item);
  waiting_.push(item, out);
}

void Amqp::header(const Frame& frame, Output& out) {
  const uint16_t channel = load_be16(&frame.bytes[1]);
  for (Content** at = &contents_[static_cast<size_t>(frame.direction)]; *at != nullptr; at = &(*at)->next) {
    Content* const content = *at;
    if (content->channel != channel || content->has_header) continue;
    ByteReader r(content->item->arena.copy(frame.bytes));
    r.skip(kFrameHead + 4);
    content->expected = r.be64();
    content->properties = decode_properties(r, content->item->arena);
    content->has_header = true;
    content->wire_size += frame.size;
    if (!r.ok()) mark_malformed(content->item, "properties of the content are missing", out);
    if (content->expected == 0) {
      *at = content->next;
      complete(content, out);
    }
    return;
  }
}

void Amqp::body(const Frame& frame, Output& out) {
  const uint16_t channel = load_be16(&frame.bytes[1]);
  for (Content** at = &contents_[static_cast<size_t>(frame.direction)]; *at != nullptr; at = &(*at)->next) {
    Content* const content = *at;
    if (content->channel != channel || !content->has_header) continue;
    const Bytes part = frame.bytes.subspan(kFrameHead, frame.bytes.size() - kFrameHead - (frame.cut ? 0 : kFrameEnd));
    const size_t most = static_cast<size_t>(std::min<uint64_t>(content->expected, out.settings().body_cap));
    const size_t n = content->seen > content->text.size() ? 0 : std::min(part.size(), most - content->text.size());
    content->text.add(part.first(n), most, most, content->item->arena);
    content->seen += frame.size - kFrameHead - kFrameEnd;
    content->wire_size += frame.size;
    if (content->seen >= content->expected) {
      *at = content->next;
      complete(content, out);
    }
    return;
  }
}

/// The content is as whole as it will be.
void Amqp::complete(Content* content, Output& out) {
  Item* const item = content->item;
  if (!content->has_header || content->seen < content->expected) {
    item->outcome = Outcome::kDissection;
    item->error_message = "content of the method is missing";
    out.count(Counter::kMalformed);
  } else if (content->seen > content->text.size()) {
    out.count(Counter::kBodyCapped);
  }
  const Value fields = with_content(*content, item->arena);
  item::Message& side = content->is_answer ? item->response : item->request;
  side.payload = content->is_answer
                     ? answer_payload(*content->method, fields, item->arena)
                     : call_payload(*content->method, content->channel, fields, item->arena, content->number);
  side.time = content->time;
  side.size = content->wire_size;
  side.present = true;
  const bool whole = item->outcome != Outcome::kDissection;
  if (whole && is_basic(*content->method, 50)) tie_return(*content, fields, item);
  if (content->number == 0 || !whole) {
    if (whole && is_basic(*content->method, 40) && is_returnable(fields)) {
      if (returns_ == nullptr) returns_ = std::make_unique<Returns>();
      if (returns_->note(content->channel, out.next_index(), message_signature(fields))) out.count(Counter::kForgotten);
    }
    return out.finish(item);
  }
  const uint64_t kept = content->text.size() + content->wire_size - content->seen;
  confirms_->push(content->channel, content->number, kept, item, out);
}

/// Says which publish a basic.return brings back: of those that wait for their confirmations, which come behind it, the
/// oldest that it can be; else the item that was finished.
void Amqp::tie_return(const Content& content, Value fields, Item* returned) {
  Item* const publish =
      confirms_ == nullptr ? nullptr : confirms_->find_waiting(content.direction, content.channel, [&](const Item* i) {
        const Value sent = i->request.payload["fields"];
        return is_returnable(sent) && i->request.payload["returned"].is_null() && is_same_message(sent, fields);
      });
  if (publish != nullptr) {
    MapOf map(publish->arena);
    map.add("replyCode", fields["replyCode"]);
    map.add("replyText", publish->arena.copy(fields["replyText"].text()));
    add_member(publish, "returned", map.build());
    add_member(returned, "deliveryTag", publish->request.payload["deliveryTag"]);
  } else if (returns_ != nullptr) {
    if (const auto index = returns_->take(content.channel, message_signature(fields)))
      add_member(returned, "publishedBy", *index);
  }
}

/// Which channels number their publishes.
void Amqp::follow_channel(const Frame& frame, uint16_t channel, const Method& m, Output& out) {
  if (m.class_id == 85 && m.method_id == 10) {
    if (confirms_ == nullptr) confirms_ = std::make_unique<Confirms>();
    confirms_->select(frame.direction, channel, out);
  } else if (m.class_id == 20 && (m.method_id == 10 || m.method_id == 41)) {  // channel.open, channel.close-ok
    if (confirms_ != nullptr) confirms_->forget(channel, out);
    if (returns_ != nullptr) returns_->forget(channel);
  } else if (confirms_ != nullptr && m.class_id == 10 && m.method_id == 51) {
    confirms_->forget_all(Direction::kToServer, out);  // connection.close-ok
    confirms_->forget_all(Direction::kToClient, out);
  }
}

/// Whether the method is a broker's word on publishes that wait for it; then it is told in their items.
bool Amqp::confirm(const Frame& frame, uint16_t channel, const Method& m, Output& out) {
  if (confirms_ == nullptr || !(is_basic(m, 80) || is_basic(m, 120))) return false;
  constexpr size_t kNumberAt = kFrameHead + 4, kBitsAt = kNumberAt + 8;
  if (frame.bytes.size() <= kBitsAt + kFrameEnd) return false;
  const std::string_view said = is_basic(m, 80) ? "ACK" : "NACK";
  Item* const newest = confirms_->take(frame.direction, channel, load_be64(&frame.bytes[kNumberAt]),
                                       (frame.bytes[kBitsAt] & 1) != 0, [&](Item* publish) {
                                         add_confirm(publish, said);
                                         out.finish(publish);
                                       });
  if (newest == nullptr) return false;
  add_confirm(newest, said);
  ByteReader r(newest->arena.copy(frame.bytes));
  r.skip(kNumberAt);
  set(newest->response, answer_payload(m, decode_arguments(m, r, newest->arena), newest->arena), frame);
  out.finish(newest);
  return true;
}

void Amqp::expire(Timestamp before, Output& out) {
  Framed::expire(before, out);
  if (confirms_ != nullptr) confirms_->expire(before, out);
}

void Amqp::forget(Direction direction, Output& out) {
  Content*& first = contents_[static_cast<size_t>(direction)];
  while (first != nullptr) {
    Content* const content = first;
    first = content->next;
    complete(content, out);
  }
  if (confirms_ != nullptr) confirms_->forget_all(direction, out);
  if (returns_ != nullptr && direction == Direction::kToServer) returns_->forget_all();  // nobody knows what was lost
}

}  // namespace baleen::dissect::amqp
