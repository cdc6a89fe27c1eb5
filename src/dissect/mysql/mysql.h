#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dissect/dissector.h"
#include "dissect/matcher.h"

namespace baleen::dissect::mysql {

struct Draft;

/// The client/server protocol of MySQL 4.1 and later and of MariaDB, plain or compressed
/// (https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html,
/// https://mariadb.com/kb/en/clientserver-protocol/).
///
/// One item for the log-in and one per command with all its results.
class Mysql final : public Session {
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
  struct Statement {
    uint32_t id;
    uint16_t parameters;
    std::string query;
    std::vector<uint16_t> types{};  // of the parameters, when they were last sent
  };
  struct Names {
    std::string user, database;
    std::vector<Statement> statements;  // bounded; the oldest goes first
    size_t bytes = 0;
  };
  /// The stream of packets inside a compressed one. Empty between messages.
  struct Inner {
    std::vector<uint8_t> plain[2];
    uint64_t skip[2] = {0, 0};
  };
  struct Side {
    uint64_t skip = 0;     // rest of a packet whose front was enough
    bool more = false;     // the packet was full: the next goes on with it
    uint8_t sequence = 0;  // of the last packet
  };
  enum class Phase : uint8_t { kCommand, kGreeting, kAuthentication };
  enum class Compression : uint8_t { kNone, kZlib, kZstd };

  Names& names();
  Step packets(const Input& in, Output& out);
  Step compressed(const Input& in, Output& out);
  bool inner_packets(const Input& frame, Output& out);
  Step packet(const Input& in, Bytes body, uint64_t size, uint64_t wanted, Output& out);
  void greeting(Bytes body, uint64_t size, const Input& in, Output& out);
  Step handshake_response(Bytes body, uint64_t size, uint64_t wanted, const Input& in, Output& out);
  void authentication(Bytes body, uint64_t size, const Input& in, Output& out);
  void command(Bytes body, uint64_t size, const Input& in, Output& out);
  void answer(Bytes body, uint64_t size, const Input& in, Output& out);
  void first_answer(Draft& d, item::Item* t, Bytes body, Output& out);
  void prepared(Draft& d, item::Item* t, Bytes body, Output& out);
  void end_of_result(Draft& d, uint16_t status, Output& out);
  void finish_front(Output& out);
  void finish(item::Item* item, Output& out);
  void give_up(Output& out);
  item::Item* new_item(uint8_t code, const Input& in, Output& out);
  Statement* statement(uint32_t id) const;
  void remember(uint32_t id, uint16_t parameters, std::string_view query);
  void forget(uint32_t id);

  InOrderMatcher waiting_;
  item::Item* login_ = nullptr;
  std::unique_ptr<Names> names_;
  std::unique_ptr<Inner> inner_;
  Side sides_[2];
  uint64_t capabilities_ = 0;  // of the client, when its hello was seen
  uint64_t offered_ = 0;       // of the server
  Phase phase_ = Phase::kCommand;
  Compression compression_ = Compression::kNone;
  bool streaming_ = false;              // a replica is sent the binary log
  bool lost_here_[2] = {false, false};  // the next byte begins no message, whatever it looks like
};

}  // namespace baleen::dissect::mysql
