// The server answers in order, each kind of message with its own kind of answer, and after an error ignores what
// follows up to the next Sync. So one queue of items is enough: an item knows which answer ends it and how many Syncs
// follow it, and an error takes with it every item up to the next one that has a Sync.

#include "dissect/postgresql/postgresql.h"

#include "dissect/postgresql/draft.h"
#include "dissect/text.h"

namespace baleen::dissect::postgresql {

using item::Field;
using item::FieldType;
using item::Item;
using item::Member;
using item::Outcome;
using item::Value;

namespace {

constexpr uint16_t kPorts[] = {5432};
constexpr Field kFields[] = {
    {"request.command", "postgresql_command", FieldType::kString,
     "The SQL tag, such as SELECT; of what is no SQL the kind of message."},
    {"request.query", "postgresql_query", FieldType::kString, "The SQL text; of an Execute that of its statement."},
    {"request.database", "postgresql_database", FieldType::kString, "The database of the connection."},
    {"request.user", "postgresql_user", FieldType::kString, "The user of the connection."},
    {"response.error.message", "postgresql_error_message", FieldType::kString, "The error's message."},
    {"response.error.code", "postgresql_error_code", FieldType::kString, "The error's SQLSTATE."},
    {"response.success", "postgresql_success", FieldType::kBool, "It was answered without an error."},
    {"requestSize", "postgresql_request_size", FieldType::kInt, "Bytes of the request's messages."},
    {"responseSize", "postgresql_response_size", FieldType::kInt, "Bytes of the answer's messages."},
    {"size", "postgresql_total_size", FieldType::kInt, "Bytes of request and answer together."},
    {"request.type", "", FieldType::kString,
     "Query, Execute, Parse, Describe, Close, FunctionCall, StartupMessage, SSLRequest, GSSENCRequest or "
     "CancelRequest."},
    {"request.messages", "", FieldType::kList, "The messages that make the request up."},
    {"request.statement", "", FieldType::kString, "The name of the prepared statement."},
    {"request.portal", "", FieldType::kString, "The name of the portal."},
    {"request.parameters", "", FieldType::kList, "Bound parameters; of a start-up a map of its parameters."},
    {"request.maxRows", "", FieldType::kInt, "Rows that an Execute asks for."},
    {"request.processId", "", FieldType::kInt, "The server process that a CancelRequest names."},
    {"request.secretKey", "", FieldType::kInt, "The key that allows to cancel.", true},
    {"request.secretKeyBytes", "", FieldType::kBytes, "The key where it is not four bytes long (protocol 3.2).", true},
    {"request.protocolVersion", "", FieldType::kString, "The version that a start-up asks for: 3.0, 3.2."},
    {"request.password", "", FieldType::kBytes, "What the client proves itself with: password, digest or SASL message.",
     true},
    {"request.copyBytes", "", FieldType::kInt, "Bytes of COPY data sent to the server."},
    {"request.truncated", "", FieldType::kBool, "Not all of the request was kept."},
    {"response.authentication", "", FieldType::kString, "The method that the server asked for."},
    {"response.parameters", "", FieldType::kMap, "Settings that the server reports."},
    {"response.processId", "", FieldType::kInt, "The server process of the connection."},
    {"response.secretKey", "", FieldType::kInt, "The key that allows to cancel its queries.", true},
    {"response.secretKeyBytes", "", FieldType::kBytes, "The key where it is not four bytes long (protocol 3.2).", true},
    {"response.protocolVersion", "", FieldType::kString,
     "The newest version that the server speaks, where it is not what the start-up asked for."},
    {"response.unsupportedOptions", "", FieldType::kList, "Protocol options of the start-up that the server ignores."},
    {"response.tag", "", FieldType::kString, "The command tag, such as INSERT 0 1."},
    {"response.tags", "", FieldType::kList, "All tags, of a query of several statements."},
    {"response.completions", "", FieldType::kInt, "Statements that were completed, suspended, empty or failed."},
    {"response.columns", "", FieldType::kList, "Names of the columns of the first result."},
    {"response.rowCount", "", FieldType::kInt, "Rows that were sent."},
    {"response.rows", "", FieldType::kList, "The first rows."},
    {"response.copyBytes", "", FieldType::kInt, "Bytes of COPY data sent to the client."},
    {"response.notices", "", FieldType::kList, "Notices that came along."},
    {"response.transaction", "", FieldType::kString, "idle, active or failed, after the query."},
    {"response.error.severity", "", FieldType::kString, "ERROR, FATAL or PANIC."},
    {"response.error.detail", "", FieldType::kString, "The error's detail."},
    {"response.error.hint", "", FieldType::kString, "The error's hint."},
    {"response.status", "", FieldType::kString, "OK or the SQLSTATE."},
    {"response.accepted", "", FieldType::kBool, "The server goes on encrypted."},
    {"data.type", "", FieldType::kString, "NoticeResponse, NotificationResponse or ErrorResponse."},
    {"data.channel", "", FieldType::kString, "The channel of a notification."},
    {"data.payload", "", FieldType::kString, "What was notified."},
};

constexpr uint32_t kMaxTags = 16;
constexpr uint64_t kMaxMessage = 1ull << 30;  // the server's own limit (MaxAllocSize)

}  // namespace

const item::Protocol Postgresql::kProtocol = {
    .name = "postgresql",
    .version = "3.0",
    .abbreviation = "PGSQL",
    .long_name = "PostgreSQL Frontend/Backend Protocol",
    .macro = "postgresql",
    .reference = "https://www.postgresql.org/docs/current/protocol.html",
    .background = "#336791",
    .foreground = "#ffffff",
    .font_size = 11,
    .priority = 5,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.command",
    .summary_path = "request.query",
    .status_path = "response.status",
};

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

void Postgresql::backend(char type, Bytes body, uint64_t size, const Input& in, Output& out) {
  Item* t = target();
  if (replicating_ && type != 'A' && type != 'N' && type != 'E') {
    if (type == 'Z') replicating_ = false;
    return;
  }
  switch (type) {
    case 'A': return unasked(type, body, size, in, out);
    case 'N':
      if (t == nullptr) return unasked(type, body, size, in, out);
      break;
    case 'E': return fail(body, size, in, out);
    case 'S':
    case 'K':
    case 'R':
      if (t == nullptr || draft(t).kind != '0') return;  // a setting that changed by the way
      break;
    case 'Z':
      if (t == nullptr || draft(t).closing != 'Z' || (draft(t).completions == 0 && !draft(t).authenticated)) {
        if (syncs_due_ > 0) --syncs_due_;  // it answers a Sync
        return;
      }
      break;
    case 'd':
    case 'c':
      if (t == nullptr) return;
      break;
    case 'T':
    case 'D':
    case 'C':
    case 'I':
    case 's':
    case 'G':
    case 'H':
      if (t == nullptr) {
        t = orphan_ = new_item('r', in, out);
        draft(t).closing = 'C';
      }
      break;
    default:
      if (t == nullptr) return;
  }
  Draft& d = draft(t);
  if (t->response.size == 0) t->response.time = in.time;
  t->response.size += size;
  ByteReader r(body);
  switch (type) {
    case 'R': {
      const uint32_t code = r.be32();
      if (code == 0) d.authenticated = true;
      if (const std::string_view name = authentication_name(code); !name.empty()) d.authentication = name;
      return;
    }
    case 'S':
      if (d.settings == nullptr) d.settings = t->arena.array<Member>(32).data();
      if (d.parameter_count < 32) {
        const std::string_view name = keep(t, c_string(r));
        d.settings[d.parameter_count++] = {name, keep_value(t, c_string(r))};
      }
      return;
    case 'K':
      d.process_id = static_cast<int32_t>(r.be32());
      if (const Bytes key = r.rest(); r.ok() && key.size() >= 4) d.secret_key = cancel_key(key, t->arena);
      return;
    case 'v': return read_negotiation(t, body);
    case 'N':
      if (d.notices == nullptr) d.notices = t->arena.array<Value>(kMaxNotices).data();
      if (d.notice_count < kMaxNotices) d.notices[d.notice_count] = error_fields(body, t->arena);
      ++d.notice_count;
      return;
    case 'Z': d.transaction = static_cast<char>(r.u8()); return finish_front(out);
    case 'D':
      if (d.rows_kept < kMaxRows && !body.empty()) read_row(t, body);
      ++d.row_count;
      return;
    case 'd': d.copy_out += size - 5; return;
    case 'W':  // COPY both: a replica follows from here on, for as long as it lives
      replicating_ = true;
      ++d.completions;
      return finish_front(out);
    default: return complete(type, body, out);
  }
}

/// Answers that complete something.
void Postgresql::complete(char type, Bytes body, Output& out) {
  Item* t = target();
  Draft& d = draft(t);
  ByteReader r(body);
  switch (type) {
    case 'C': {
      const std::string_view tag = keep(t, c_string(r).substr(0, 128));
      if (d.completions == 0) d.tag = tag;
      if (d.closing == 'Z') {
        if (d.tags == nullptr) d.tags = t->arena.array<Value>(kMaxTags).data();
        if (d.tag_count < kMaxTags) d.tags[d.tag_count++] = Value(tag);
      }
      ++d.completions;
      break;
    }
    case 'I': ++d.completions; break;
    case 's':
      ++d.completions;
      d.suspended = true;
      break;
    case 'V': ++d.completions; return;
    case 'T': read_columns(t, body); break;
    default: break;
  }
  const char answers = type == 'I' || type == 's' ? 'C' : type == 'n' ? 'T' : type;
  // Within a unit that ends in Execute only its own completion ends it. Units that are not sent yet go on.
  if (d.closing == answers && t != unit_) finish_front(out);
}

void Postgresql::fail(Bytes body, uint64_t size, const Input& in, Output& out) {
  Item* t = target();
  if (t == nullptr) return unasked('E', body, size, in, out);
  Draft& d = draft(t);
  if (t->response.size == 0) t->response.time = in.time;
  t->response.size += size;
  d.failed = true;
  ++d.completions;
  d.error = error_fields(body, t->arena);
  if (d.kind == 'Q' || d.kind == 'F') return;  // ReadyForQuery follows
  if (d.kind == '0' || d.kind == 's' || d.kind == 'g' || d.kind == 'r') return finish_front(out);
  // Extended: the server ignores everything up to the next Sync.
  bool synced = d.syncs > 0;
  finish_front(out);
  while (!synced && waiting_.front() != nullptr) {
    Item* skipped = waiting_.front();
    synced = draft(skipped).syncs > 0;
    skipped->error_message = "not executed: an earlier message of the pipeline failed";
    finish_front(out);
  }
  if (!synced) skipping_ = true;
}

/// What the server says by itself.
void Postgresql::unasked(char type, Bytes body, uint64_t size, const Input& in, Output& out) {
  Item* item = out.begin(kProtocol);
  MapBuilder<5> map;
  if (type == 'A') {
    ByteReader r(body);
    map.add("type", "NotificationResponse");
    map.add("processId", static_cast<int64_t>(r.be32()));
    map.add("channel", text_or_bytes(item->arena.copy(c_string(r).substr(0, 256)), true));
    map.add("payload", text_or_bytes(item->arena.copy(c_string(r).substr(0, out.settings().body_cap)), true));
  } else {
    map.add("type", type == 'E' ? "ErrorResponse" : "NoticeResponse");
    map.add("error", error_fields(body, item->arena));
  }
  item->data = {map.build(item->arena), in.time, size, true};
  item->outcome = Outcome::kSingle;
  out.finish(item);
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
