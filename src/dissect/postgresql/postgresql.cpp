// The server answers in order, each kind of message with its own kind of answer, and after an error ignores what
// follows up to the next Sync. So one queue of items is enough: an item knows which answer ends it and how many Syncs
// follow it, and an error takes with it every item up to the next one that has a Sync.

#include "dissect/postgresql/postgresql.h"

#include "dissect/postgresql/draft.h"
#include "dissect/text.h"

namespace baleen::dissect::postgresql {

using item::Item;
using item::Outcome;
using item::Value;

namespace {

constexpr uint64_t kMaxMessage = 1ull << 30;  // the server's own limit (MaxAllocSize)

}  // namespace

Postgresql::Names& Postgresql::names() {
  if (names_ == nullptr) names_ = std::make_unique<Names>();
  return *names_;
}

Item* Postgresql::new_item(char kind, const Input& in, Output& out) {
  Item* item = out.begin(kProtocol);
  Draft* d = item->arena.make<Draft>(Draft{.kind = kind});
  d->budget = out.settings().body_cap;
  item->match_key = reinterpret_cast<uint64_t>(d);
  item->request.time = in.time;
  return item;
}

void Postgresql::finish(Item* item, Output& out) {
  Draft& d = draft(item);
  syncs_due_ += d.kind == 'Q' || d.kind == 'F' || d.kind == '0' ? 0 : d.syncs;
  if (d.kind != 'r')
    item->request.payload = request_payload(item, names_ ? names_->user : std::string_view(),
                                            names_ ? names_->database : std::string_view());
  item->request.present = d.kind != 'r';
  if (item->response.size != 0) {
    item->response.payload = response_payload(item);
    item->response.present = true;
  }
  if (!item->request.present) {
    item->outcome = Outcome::kNoRequest;
    out.count(Counter::kHalfResponses);
  } else if (!item->response.present) {
    item->outcome = Outcome::kNoResponse;
    out.count(Counter::kHalfRequests);
  }
  out.finish(item);
}

void Postgresql::finish_front(Output& out) {
  Item* item = waiting_.pop();
  if (item == nullptr) item = std::exchange(unit_, nullptr);
  if (item == nullptr) item = std::exchange(orphan_, nullptr);
  if (item != nullptr) finish(item, out);
}

Step Postgresql::dissect(const Input& in, Output& out) {
  const bool client = in.direction == Direction::kToServer;
  if (uint64_t& skip = skip_[client ? 0 : 1]; skip != 0) return Step::skip(std::exchange(skip, 0));
  if (in.bytes.empty()) return Step::need();
  const char type = static_cast<char>(in.bytes[0]);
  if (client && type == 0) return untyped(in, out);
  if (Item* front = waiting_.front();
      !client && front != nullptr && (draft(front).kind == 's' || draft(front).kind == 'g')) {
    // One byte answers the wish for encryption (protocol flow, "SSL Session Encryption").
    const bool ssl = draft(front).kind == 's';
    if (type == 'S' || type == 'G' || type == 'N') {
      draft(front).accepted = Value(type != 'N');
      front->response.time = in.time;
      front->response.size = 1;
      finish_front(out);
      if (type == 'N') return Step::took(1);
      return ssl ? Step::switch_to("tls", 1) : Step::done();
    }
  }
  if (client ? !frontend_type(type) : !backend_type(type)) {
    gap(in.direction, 0, out);
    lost_here_[client ? 0 : 1] = true;
    return Step::lost();
  }
  if (in.bytes.size() < 5) return Step::need(5);
  const uint64_t length = load_be32(&in.bytes[1]);
  if (length < 4 || length > kMaxMessage) {
    gap(in.direction, 0, out);
    lost_here_[client ? 0 : 1] = true;
    return Step::lost();
  }
  const uint64_t size = length + 1;
  const Item* t = target();
  // Content that nobody will see is not waited for.
  const bool unseen =
      type == 'd' || (!client && type == 'D' && (t == nullptr || draft(const_cast<Item*>(t)).rows_kept >= kMaxRows));
  if (unseen) {
    client ? frontend(type, {}, size, in, out) : backend(type, {}, size, in, out);
    return Step::skip(size);
  }
  // Of huge messages the front is enough.
  const size_t wanted = static_cast<size_t>(std::min<uint64_t>(size, std::max<size_t>(out.settings().header_cap, 64)));
  if (in.bytes.size() < wanted) return Step::need(wanted);
  if (wanted < size) {
    out.count(Counter::kBodyCapped);
    skip_[client ? 0 : 1] = size - wanted;
  }
  const Bytes body = in.bytes.subspan(5, wanted - 5);
  client ? frontend(type, body, size, in, out) : backend(type, body, size, in, out);
  return Step::took(wanted);
}

/// Messages without a type, before the connection has begun (protocol-message-formats, StartupMessage and friends).
Step Postgresql::untyped(const Input& in, Output& out) {
  if (in.bytes.size() < 8) return Step::need(8);
  const uint32_t size = load_be32(in.bytes.data());
  const uint32_t code = load_be32(&in.bytes[4]);
  const bool known = code == kSslRequest || code == kGssRequest ? size == 8
                     : code == kCancelRequest                   ? size == 16 || (size > 16 && size <= 268)
                                                                : code >> 16 == 3;
  if (!known || size < 8 || size > 10000) {  // MAX_STARTUP_PACKET_LENGTH
    gap(in.direction, 0, out);
    lost_here_[0] = true;
    return Step::lost();
  }
  if (in.bytes.size() < size) return Step::need(size);
  return startup(in, in.bytes.subspan(8, size - 8), code, out);
}

Step Postgresql::startup(const Input& in, Bytes body, uint32_t code, Output& out) {
  const uint64_t size = body.size() + 8;
  if (code == kCancelRequest) {
    Item* item = out.begin(kProtocol);
    MapBuilder<4> map;
    map.add("type", "CancelRequest");
    map.add("command", "CancelRequest");
    map.add("processId", static_cast<int64_t>(load_be32(body.data())));
    const Value key = cancel_key(body.subspan(4), item->arena);
    map.add(key.is_number() ? "secretKey" : "secretKeyBytes", key);
    item->request = {map.build(item->arena), in.time, size, true};
    out.finish(item);  // the server only closes the connection
    return Step::took(size);
  }
  Item* item = new_item(code == kSslRequest ? 's' : code == kGssRequest ? 'g' : '0', in, out);
  Draft& d = draft(item);
  item->request.size = size;
  if (d.kind == '0') {
    ByteReader r(body);
    MapBuilder<16> map;
    Names& n = names();
    while (r.remaining() > 1 && r.peek() != 0) {
      const std::string_view name = keep(item, c_string(r)), value = keep(item, c_string(r));
      map.add(name, text_or_bytes(value, true));
      if (name == "user") n.user.assign(value.substr(0, 256));
      if (name == "database") n.database.assign(value.substr(0, 256));
    }
    if (n.database.empty()) n.database = n.user;  // the documented default
    d.parameters = map.build(item->arena);
    d.version = code;
    d.closing = 'Z';
  }
  waiting_.push(item, out);
  return Step::took(size);
}

void Postgresql::frontend(char type, Bytes body, uint64_t size, const Input& in, Output& out) {
  switch (type) {
    case 'Q':
    case 'F': {
      close_unit(out);
      Item* item = new_item(type, in, out);
      Draft& d = draft(item);
      d.op(type);
      d.closing = 'Z';
      item->request.size = size;
      ByteReader r(body);
      if (type == 'Q') d.query = keep(item, c_string(r));
      if (skip_[0] != 0) d.truncated = true;
      waiting_.push(item, out);
      return;
    }
    case 'S': return sync(size, out);
    case 'H':
      if (unit_ != nullptr) unit_->request.size += size;
      return close_unit(out);
    case 'd':
    case 'c':
    case 'f':
      if (Item* t = waiting_.front(); t != nullptr && !replicating_) {
        if (type == 'd') draft(t).copy_in += size - 5;
        t->request.size += size;
      }
      return;
    case 'p':
      if (Item* t = waiting_.front(); t != nullptr && draft(t).kind == '0') {
        Draft& d = draft(t);
        t->request.size += size;
        ByteReader r(body);
        std::string_view text = as_text(body);
        if (d.authentication == "sasl" && d.password.is_null()) {
          d.authentication = keep(t, c_string(r).substr(0, 64));  // the mechanism that the client chose
          r.skip(4);
          text = as_text(r.rest());
        } else if (text.ends_with('\0')) {
          text.remove_suffix(1);
        }
        if (d.password.is_null()) d.password = keep_value(t, text.substr(0, 1024));
      }
      return;
    case 'X': return close_unit(out);
    default: return extended(type, body, size, in, out);
  }
}

void Postgresql::extended(char type, Bytes body, uint64_t size, const Input& in, Output& out) {
  if (unit_ == nullptr) unit_ = new_item(type, in, out);
  Item* item = unit_;
  Draft& d = draft(item);
  d.op(type);
  item->request.size += size;
  if (skip_[0] != 0) d.truncated = true;
  ByteReader r(body);
  Names& n = names();
  switch (type) {
    case 'P':
      d.statement = keep(item, c_string(r).substr(0, 256));
      d.query = keep(item, c_string(r));
      n.statements.put(d.statement, d.query);
      d.closing = '1';
      d.kind = 'P';
      return;
    case 'B':
      d.portal = keep(item, c_string(r).substr(0, 256));
      d.statement = keep(item, c_string(r).substr(0, 256));
      if (d.query.empty() || n.statements.find(d.statement) != d.query)
        d.query = keep(item, n.statements.find(d.statement));
      n.portals.put(d.portal, d.query);
      read_bind(item, r);
      d.closing = '2';
      return;
    case 'D': {
      const char what = static_cast<char>(r.u8());
      const std::string_view name = c_string(r).substr(0, 256);
      if (d.query.empty()) {
        (what == 'S' ? d.statement : d.portal) = keep(item, name);
        d.query = keep(item, (what == 'S' ? n.statements : n.portals).find(name));
      }
      d.closing = 'T';
      return;
    }
    case 'C': {
      const char what = static_cast<char>(r.u8());
      const std::string_view name = c_string(r).substr(0, 256);
      if (d.op_count == 1) (what == 'S' ? d.statement : d.portal) = keep(item, name);
      if (!name.empty()) (what == 'S' ? n.statements : n.portals).remove(name);
      d.closing = '3';
      return;
    }
    default:  // Execute
      d.portal = keep(item, c_string(r).substr(0, 256));
      d.max_rows = static_cast<int32_t>(r.be32());
      d.query = d.query.empty() ? keep(item, n.portals.find(d.portal)) : d.query;
      d.kind = 'E';
      d.closing = 'C';
      return close_unit(out);
  }
}

/// No Execute will follow what was gathered, or one just has: it waits for its answer.
void Postgresql::close_unit(Output& out) {
  Item* item = std::exchange(unit_, nullptr);
  if (item == nullptr) return;
  if (skipping_) return finish(item, out);
  if (draft(item).kind == 'B' || draft(item).kind == 'P') {  // named after its last message, when that says more
    if (draft(item).closing == '2') draft(item).kind = 'B';
  }
  waiting_.push(item, out);
}

void Postgresql::sync(uint64_t size, Output& out) {
  Item* last = unit_ != nullptr ? unit_ : waiting_.back();
  if (last != nullptr && !skipping_) {
    last->request.size += size;
    if (draft(last).syncs < UINT16_MAX) ++draft(last).syncs;
    if (draft(last).kind == 'Q' || draft(last).kind == 'F' || draft(last).kind == '0') ++syncs_due_;
  } else {
    ++syncs_due_;
  }
  close_unit(out);
  skipping_ = false;
}

/// Everything that waits, waits in vain.
void Postgresql::give_up(Output& out) {
  if (unit_ != nullptr) waiting_.push(std::exchange(unit_, nullptr), out);
  while (!waiting_.empty() || orphan_ != nullptr) finish_front(out);
  syncs_due_ = 0;
  skipping_ = false;
}

bool Postgresql::gap(Direction direction, uint64_t bytes, Output& out) {
  uint64_t& skip = skip_[direction == Direction::kToServer ? 0 : 1];
  if (bytes != 0 && bytes <= skip) {
    skip -= bytes;
    return true;
  }
  skip = 0;
  give_up(out);
  return false;
}

void Postgresql::expire(Timestamp before, Output& out) {
  if (!waiting_.empty() && waiting_.front()->time() < before) give_up(out);
}

void Postgresql::close(bool, Output& out) { give_up(out); }
}  // namespace baleen::dissect::postgresql
