#pragma once

#include <memory>
#include <string>

#include "dissect/dissector.h"
#include "dissect/matcher.h"
#include "dissect/postgresql/statements.h"

namespace baleen::dissect::postgresql {

struct Draft;

/// PostgreSQL's frontend/backend protocol 3 (https://www.postgresql.org/docs/current/protocol.html), and what speaks it
/// (CockroachDB, YugabyteDB, pgbouncer).
///
/// One item per start-up (with its authentication), simple query, function call, and per Execute together with the
/// Parse, Bind and Describe before it; Parse, Describe or Close that no Execute follows are an item of their own.
/// Notices and notifications that come unasked are single items.
class Postgresql final : public Session {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true;
  static constexpr bool kUdp = false;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  bool gap(Direction direction, uint64_t bytes, Output& out) override;
  Resync resync(const Input& in) override;
  void expire(Timestamp before, Output& out) override;
  void close(bool reset, Output& out) override;

 private:
  struct Names {  // what connections that prepare statements need
    Statements statements, portals;
    std::string user, database;
  };
  Names& names();

  Step untyped(const Input& in, Output& out);
  Step startup(const Input& in, Bytes body, uint32_t code, Output& out);
  void frontend(char type, Bytes body, uint64_t size, const Input& in, Output& out);
  void backend(char type, Bytes body, uint64_t size, const Input& in, Output& out);
  void extended(char type, Bytes body, uint64_t size, const Input& in, Output& out);
  void close_unit(Output& out);
  void sync(uint64_t size, Output& out);
  void complete(char type, Bytes body, Output& out);
  void fail(Bytes body, uint64_t size, const Input& in, Output& out);
  void unasked(char type, Bytes body, uint64_t size, const Input& in, Output& out);
  void finish(item::Item* item, Output& out);
  void finish_front(Output& out);
  void give_up(Output& out);
  item::Item* new_item(char kind, const Input& in, Output& out);
  item::Item* target() const {
    return waiting_.front() != nullptr ? waiting_.front() : unit_ != nullptr ? unit_ : orphan_;
  }

  InOrderMatcher waiting_;        // sent, in the order of their answers
  item::Item* unit_ = nullptr;    // Parse, Bind, ... that an Execute may follow
  item::Item* orphan_ = nullptr;  // an answer whose request was before our time
  std::unique_ptr<Names> names_;
  uint64_t skip_[2] = {0, 0};           // rest of a message whose front was enough
  uint32_t syncs_due_ = 0;              // ReadyForQuery that end no waiting item
  bool skipping_ = false;               // after an error the server ignores all up to the next Sync
  bool replicating_ = false;            // COPY in both directions
  bool lost_here_[2] = {false, false};  // the next byte begins no message, whatever it looks like
};

}  // namespace baleen::dissect::postgresql
