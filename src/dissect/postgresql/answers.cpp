// Postgresql: what the server says.

#include "dissect/postgresql/draft.h"
#include "dissect/postgresql/postgresql.h"
#include "dissect/text.h"

namespace baleen::dissect::postgresql {

using item::Item;
using item::Member;
using item::Outcome;
using item::Value;

namespace {

constexpr uint32_t kMaxTags = 16;

}  // namespace

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

}  // namespace baleen::dissect::postgresql
