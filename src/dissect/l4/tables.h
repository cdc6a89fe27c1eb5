#pragma once

#include <deque>
#include <unordered_map>

#include "dissect/l4/connection.h"
#include "net/address.h"

namespace baleen::dissect::l4 {

/// Makes and reuses connections, and keeps them in the order in which they were reported. One thread.
class ConnectionPool {
 public:
  Connection* take(Flow* flow, Timestamp time, Timestamp now);
  void give(Connection* connection);
  /// It was reported now, and is the last that is due.
  void requeue(Connection* connection, Timestamp now);
  Connection* oldest() const { return oldest_; }
  size_t size() const { return size_; }

 private:
  void unlink(Connection* connection);
  void append(Connection* connection);

  std::deque<Connection> slabs_;
  Connection* free_ = nullptr;  // chained by `newer`
  Connection* oldest_ = nullptr;
  Connection* newest_ = nullptr;
  size_t size_ = 0;
};

struct GroupKey {
  net::IpAddress client;
  net::Endpoint server;
  net::Transport transport = net::Transport::kOther;
  bool operator==(const GroupKey&) const = default;
};

/// All connections of one client's address to one server's endpoint: a flow, as the items call it.
struct Group {
  GroupKey key;
  uint64_t id = 0;
  uint32_t connections = 0;  // that are not over
  uint32_t total = 0;        // connections that there were
  Timestamp begin{}, last{};
  Timestamp reported_at{};  // by the engine's clock
  Timestamp quiet_since{};  // since when there are no connections
  Traffic sent, reported;
  const item::Protocol* protocols[Connection::kMostProtocols] = {};
  // Under which its next item goes: a place in the stream of its last connection.
  uint64_t stream = 0, index = 0;
  uint16_t vlan = 0;
  Group* older = nullptr;  // among those without connections
  Group* newer = nullptr;
};

/// Groups by key, and those without connections in the order in which they became so. One thread.
class GroupTable {
 public:
  explicit GroupTable(size_t limit) : limit_(limit) {}

  /// The group of that key, made if need be: one connection more. Null when there is no room.
  Group* join(const GroupKey& key, Timestamp begin, Timestamp now);
  /// One connection less.
  void leave(Group* group, Timestamp now);
  void erase(Group* group);

  bool full() const { return groups_.size() >= limit_; }
  /// Of those without connections the one that has been so for the longest time.
  Group* quietest() const { return oldest_; }
  size_t size() const { return groups_.size(); }

 private:
  struct Hash {
    size_t operator()(const GroupKey& key) const;
  };
  void unlink(Group* group);

  size_t limit_;
  std::unordered_map<GroupKey, Group, Hash> groups_;
  Group* oldest_ = nullptr;
  Group* newest_ = nullptr;
};

}  // namespace baleen::dissect::l4
