// Every packet says its length and its number since the command began, so answers are tied to commands by both: the
// first packet of an answer must carry the number after the command's last. What a packet means depends on the command
// and on what came before it, which is kept in the waiting item's draft. Whether an EOF packet stands between columns
// and rows (CLIENT_DEPRECATE_EOF) shows in the packets, so that connections joined in the middle are read, too.

#include "dissect/mysql/mysql.h"

#include <algorithm>

#include "dissect/mysql/draft.h"
#include "dissect/mysql/wire.h"

namespace baleen::dissect::mysql {

using item::Item;
using item::Outcome;

namespace {

constexpr uint32_t kMaxStatements = 256;
constexpr size_t kMaxStatementText = 16 << 10, kMaxStatementBytes = 256 << 10;

}  // namespace

Mysql::Names& Mysql::names() {
  if (names_ == nullptr) names_ = std::make_unique<Names>();
  return *names_;
}

Mysql::Statement* Mysql::statement(uint32_t id) const {
  if (names_ != nullptr)
    for (auto s = names_->statements.rbegin(); s != names_->statements.rend(); ++s)
      if (s->id == id) return &*s;
  return nullptr;
}

void Mysql::remember(uint32_t id, uint16_t parameters, std::string_view query) {
  forget(id);
  Names& n = names();
  query = query.substr(0, kMaxStatementText);
  n.bytes += query.size();
  n.statements.push_back({.id = id, .parameters = parameters, .query = std::string(query)});
  while (n.statements.size() > kMaxStatements || n.bytes > kMaxStatementBytes) {
    n.bytes -= n.statements.front().query.size();
    n.statements.erase(n.statements.begin());
  }
}

void Mysql::forget(uint32_t id) {
  if (names_ == nullptr) return;
  for (auto s = names_->statements.begin(); s != names_->statements.end(); ++s)
    if (s->id == id) {
      names_->bytes -= s->query.size();
      names_->statements.erase(s);
      return;
    }
}

Item* Mysql::new_item(uint8_t code, const Input& in, Output& out) {
  Item* item = out.begin(kProtocol);
  Draft* d = item->arena.make<Draft>(Draft{.code = code});
  d->budget = out.settings().body_cap;
  item->match_key = reinterpret_cast<uint64_t>(d);
  item->request.time = in.time;
  return item;
}

void Mysql::finish(Item* item, Output& out) {
  Draft& d = draft(item);
  item->request.present = item->request.size != 0;
  if (item->request.present) {
    item->request.payload = request_payload(item, names_ ? names_->user : std::string_view(),
                                            names_ ? names_->database : std::string_view());
  }
  const bool silent = d.code == kQuit || d.code == kLongData || d.code == kClose;
  if (item->response.size != 0) {
    item->response.payload = response_payload(item);
    item->response.present = true;
  } else if (!silent) {
    item->outcome = Outcome::kNoResponse;
    out.count(Counter::kHalfRequests);
  }
  if (!item->request.present) {
    item->outcome = Outcome::kNoRequest;
    out.count(Counter::kHalfResponses);
  }
  out.finish(item);
}

void Mysql::finish_front(Output& out) {
  Item* item = waiting_.pop();
  Draft& d = draft(item);
  if (!d.failed) {
    if (d.code == kInitDb) names().database.assign(d.query.substr(0, 256));
    if (d.code == kQuery && d.query.size() > 4 && d.query.size() < 256 &&
        (d.query.substr(0, 4) == "use " || d.query.substr(0, 4) == "USE ")) {
      std::string_view name = d.query.substr(4);
      while (!name.empty() && (name.back() == ';' || name.back() == ' ' || name.back() == '`')) name.remove_suffix(1);
      while (!name.empty() && (name.front() == '`' || name.front() == ' ')) name.remove_prefix(1);
      names().database.assign(name);
    }
    if (!d.schema.empty()) names().database.assign(d.schema);
  }
  finish(item, out);
}

Step Mysql::dissect(const Input& in, Output& out) {
  if (in.bytes.empty()) return Step::need();
  if (streaming_ && in.direction == Direction::kToClient) return Step::done();
  return compression_ == Compression::kNone || phase_ != Phase::kCommand ? packets(in, out) : compressed(in, out);
}

/// One packet: length (3), number (1), body. The body of huge ones is seen in front only.
Step Mysql::packets(const Input& in, Output& out) {
  Side& side = sides_[static_cast<int>(in.direction)];
  if (side.skip != 0) return Step::skip(std::exchange(side.skip, 0));
  if (in.bytes.size() < 4) return Step::need(4);
  const uint32_t length = load_le32(in.bytes.data()) & kFull;
  const uint8_t sequence = in.bytes[3];
  const uint64_t size = uint64_t{length} + 4;
  const bool continues = side.more;
  Item* t = waiting_.front();
  // What nobody will see is not waited for: the rest of packets longer than 16 MB, files, rows beyond those shown.
  bool unseen = continues;
  if (in.direction == Direction::kToServer)
    unseen = unseen || (phase_ == Phase::kCommand && sequence != 0);
  else if (t != nullptr && phase_ == Phase::kCommand && length != 0) {
    const Draft& d = draft(t);
    if (d.state == Draft::State::kRows && !d.after_columns && (d.rows_kept >= kMaxRows || !d.first_set)) {
      if (in.bytes.size() < 5) return Step::need(5);
      unseen = unseen || (in.bytes[4] != 0xFE && in.bytes[4] != 0xFF) || (in.bytes[4] == 0xFE && length == kFull);
    }
  }
  if (unseen) {
    side.sequence = sequence;
    side.more = length == kFull;
    if (t != nullptr) {
      Draft& d = draft(t);
      if (in.direction == Direction::kToServer) {
        t->request.size += size;
        if (!continues && d.state == Draft::State::kFile) {
          d.file_bytes += length;
          if (length == 0) d.state = Draft::State::kFirst;
        }
        d.next_sequence = static_cast<uint8_t>(sequence + 1);
      } else {
        t->response.size += size;
        if (!continues) ++d.row_count;
      }
    }
    return Step::skip(size);
  }
  const auto wanted = static_cast<size_t>(std::min<uint64_t>(size, std::max<size_t>(out.settings().header_cap, 64)));
  if (in.bytes.size() < wanted) return Step::need(wanted);
  side.sequence = sequence;
  side.more = length == kFull;
  return packet(in, in.bytes.subspan(4, wanted - 4), size, wanted, out);
}

Step Mysql::packet(const Input& in, Bytes body, uint64_t size, uint64_t wanted, Output& out) {
  const bool client = in.direction == Direction::kToServer;
  Side& side = sides_[static_cast<int>(in.direction)];
  if (wanted < size) {
    out.count(Counter::kBodyCapped);
    side.skip = size - wanted;
  }
  const auto lost = [&] {
    gap(in.direction, 0, out);
    side.skip = 0;
    lost_here_[client ? 0 : 1] = true;
    return Step::lost();
  };
  if (client) {
    // A hello: the client's first packet has the number after the server's greeting (or after its SSLRequest).
    if (phase_ != Phase::kCommand || (login_ == nullptr && side.sequence != 0)) {
      if (phase_ == Phase::kAuthentication) {
        if (login_ == nullptr) return lost();
        Draft& d = draft(login_);
        login_->request.size += size;
        if (d.password.is_null() || d.password.size() == 0)
          d.password = keep_value(login_, as_text(body).substr(0, 1024));
        return Step::took(wanted);
      }
      return handshake_response(body, size, wanted, in, out);
    }
    if (body.empty() || !is_command(body[0])) return lost();
    command(body, size, in, out);
    return Step::took(wanted);
  }
  if (waiting_.empty() && login_ == nullptr && phase_ == Phase::kCommand) {
    if (side.sequence == 0 && body.size() > 20 && body[0] == 10) {
      greeting(body, size, in, out);
    } else if (side.sequence == 0 && is_error(body)) {  // "Host is blocked": an error instead of a greeting
      login_ = new_item(kLogin, in, out);
      authentication(body, size, in, out);
    }
    return Step::took(wanted);  // an answer whose command was before our time
  }
  if (phase_ == Phase::kAuthentication)
    authentication(body, size, in, out);
  else if (!waiting_.empty())
    answer(body, size, in, out);
  return Step::took(wanted);
}

void Mysql::command(Bytes body, uint64_t size, const Input& in, Output& out) {
  const uint8_t code = body[0];
  if (Item* front = waiting_.front(); front != nullptr) {
    // Whether EOF packets end the lists of a prepared statement is unknown when the hello was not seen. When its
    // lists are complete and the client goes on, they do not.
    const Draft& f = draft(front);
    if (f.code == kPrepare && f.answered && f.results != 0 && f.parameters_left + f.columns_left == 0)
      finish_front(out);
  }
  Item* item = new_item(code, in, out);
  Draft& d = draft(item);
  item->request.size = size;
  ByteReader r(body.subspan(1));
  if (sides_[0].more || sides_[0].skip != 0) d.truncated = true;
  switch (code) {
    case kQuery: {
      // Attributes go before the text when the client announced them; "0 attributes, 1 set" shows by itself.
      const bool none = r.remaining() >= 2 && body[1] == 0 && body[2] == 1;
      if (none) {
        r.skip(2);
      } else if ((capabilities_ & kQueryAttributes) != 0 && (offered_ == 0 || (offered_ & kQueryAttributes) != 0)) {
        const uint64_t n = lenenc(r);
        lenenc(r);
        read_parameters(item, r, static_cast<size_t>(std::min<uint64_t>(n, 65535)), true);
      }
      d.query = keep(item, as_text(r.rest()));
      break;
    }
    case kPrepare:
    case kInitDb:
    case 5:
    case 6:
    case kFieldList: d.query = keep(item, c_text(r)); break;
    case kExecute:
    case kLongData:
    case kClose:
    case kReset:
    case kFetch:
    case kBulkExecute: {
      d.statement_id = r.le32();
      d.has_statement = true;
      Statement* const s = statement(d.statement_id);
      if (s != nullptr) d.query = keep(item, s->query);
      if (code == kExecute) {
        const uint8_t flags = r.u8();
        r.skip(4);
        size_t n = s != nullptr ? s->parameters : 0;
        const bool named = (capabilities_ & kQueryAttributes) != 0 && (offered_ & kQueryAttributes) != 0 &&
                           (n > 0 || (flags & 8) != 0);
        if (named && (flags & 8) != 0) n = static_cast<size_t>(std::min<uint64_t>(lenenc(r), 65535));
        read_parameters(item, r, n, named, s != nullptr ? &s->types : nullptr);
      }
      if (code == kBulkExecute && s != nullptr) read_bulk(item, r, s->parameters, s->types);
      if (code == kClose) forget(d.statement_id);
      break;
    }
    case kChangeUser:
      d.user = keep(item, c_text(r).substr(0, 256));
      d.password = keep_value(item, r.text(std::min<size_t>(r.u8(), r.remaining())));
      d.database = keep(item, c_text(r).substr(0, 256));
      names().user.assign(d.user);
      names().database.assign(d.database);
      break;
    default: break;
  }
  if (code == kQuit || code == kLongData || code == kClose) return finish(item, out);  // these have no answer
  if (code == kFetch) d.state = Draft::State::kRows;
  if (code == kFieldList) d.state = Draft::State::kList;
  waiting_.push(item, out);
}

void Mysql::give_up(Output& out) {
  while (Item* item = waiting_.pop()) finish(item, out);
  if (login_ != nullptr) finish(std::exchange(login_, nullptr), out);
  phase_ = Phase::kCommand;
}

bool Mysql::gap(Direction direction, uint64_t, Output& out) {
  give_up(out);
  sides_[static_cast<int>(direction)] = Side();
  if (inner_ != nullptr) {
    inner_->plain[static_cast<int>(direction)].clear();
    inner_->skip[static_cast<int>(direction)] = 0;
  }
  return false;
}

void Mysql::expire(Timestamp before, Output& out) {
  if (!waiting_.empty() && waiting_.front()->time() < before) give_up(out);
}

void Mysql::close(bool, Output& out) { give_up(out); }
}  // namespace baleen::dissect::mysql
