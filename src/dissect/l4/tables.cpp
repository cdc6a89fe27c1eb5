#include "dissect/l4/tables.h"

#include "item/flow_id.h"

namespace baleen::dissect::l4 {

Connection* ConnectionPool::take(Flow* flow, Timestamp time, Timestamp now) {
  if (free_ == nullptr) free_ = &slabs_.emplace_back();
  Connection* const c = free_;
  free_ = c->newer;
  *c = Connection{};
  c->flow = flow;
  c->begin = c->last = time;
  c->reported_at = now;
  append(c);
  ++size_;
  return c;
}

void ConnectionPool::give(Connection* connection) {
  unlink(connection);
  connection->flow = nullptr;
  connection->newer = free_;
  free_ = connection;
  --size_;
}

void ConnectionPool::requeue(Connection* connection, Timestamp now) {
  unlink(connection);
  connection->reported_at = now;
  append(connection);
}

void ConnectionPool::unlink(Connection* c) {
  (c->older != nullptr ? c->older->newer : oldest_) = c->newer;
  (c->newer != nullptr ? c->newer->older : newest_) = c->older;
  c->older = c->newer = nullptr;
}

void ConnectionPool::append(Connection* c) {
  c->older = newest_;
  c->newer = nullptr;
  (newest_ != nullptr ? newest_->newer : oldest_) = c;
  newest_ = c;
}

size_t GroupTable::Hash::operator()(const GroupKey& key) const {
  return net::hash({{key.client, 0}, key.server, key.transport});
}

Group* GroupTable::join(const GroupKey& key, Timestamp begin, Timestamp now) {
  const auto found = groups_.find(key);
  if (found == groups_.end() && full()) return nullptr;
  Group& group = found != groups_.end() ? found->second : groups_[key];
  if (group.total == 0) {
    group.key = key;
    group.id = item::flow_id(key.client, key.server, key.transport == net::Transport::kUdp);
    group.begin = group.last = begin;
    group.reported_at = now;
  } else if (group.connections == 0) {
    unlink(&group);
  }
  ++group.connections;
  ++group.total;
  return &group;
}

void GroupTable::leave(Group* group, Timestamp now) {
  if (--group->connections != 0) return;
  group->quiet_since = now;
  group->older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = group;
  newest_ = group;
}

void GroupTable::erase(Group* group) {
  unlink(group);
  groups_.erase(GroupKey(group->key));
}

void GroupTable::unlink(Group* group) {
  (group->older != nullptr ? group->older->newer : oldest_) = group->newer;
  (group->newer != nullptr ? group->newer->older : newest_) = group->older;
  group->older = group->newer = nullptr;
}

}  // namespace baleen::dissect::l4
