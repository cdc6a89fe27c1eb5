#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "codec/protobuf_schema.h"
#include "net/address.h"

namespace baleen::dissect::grpc {

struct DescriptorsCounters {
  uint64_t servers = 0;    // whose types are known from reflection
  uint64_t files = 0;      // that servers have told
  uint64_t refused = 0;    // ... that are malformed, or beyond what is kept of one server
  uint64_t forgotten = 0;  // servers whose types made room for others
};

/// The types of messages: those that the user gave, and those that servers tell who asks for them (server reflection).
/// Any thread; a lock is taken when something has changed. Bounded: the servers that were told of first make room.
class Descriptors {
 public:
  static constexpr size_t kMostServers = 256;
  static constexpr size_t kMostFiles = 1024;     // of one server
  static constexpr size_t kMostBytes = 2 << 20;  // of one server
  static constexpr size_t kMostWork =
      32 << 20;  // bytes that are read for one server, files that are read again included
  static constexpr size_t kMostAllBytes = 32 << 20;  // of all servers

  /// Those of the user, in place of what was given before; null: none.
  void set(std::shared_ptr<const codec::Schema> given);
  /// Files (FileDescriptorProto) that this server has told.
  void learn(const net::Endpoint& server, const std::vector<Bytes>& files);
  DescriptorsCounters counters() const;

 private:
  friend class Types;
  using Schema = std::shared_ptr<const codec::Schema>;
  struct Server {
    std::map<std::string, std::string, std::less<>> files;  // by name
    size_t bytes = 0, work = 0;
    Schema schema;
    std::list<net::Endpoint>::iterator place;
  };
  struct Seen;  // what a thread has seen last
  const Seen& seen() const;
  bool add(Server& server, Bytes file);
  void make_room();

  mutable std::mutex mutex_;
  Schema given_;
  std::map<net::Endpoint, Server> servers_;
  std::list<net::Endpoint> order_;
  size_t bytes_ = 0;  // of all servers' files
  DescriptorsCounters counters_;
  std::atomic<uint64_t> version_{0};  // no other Descriptors ever had the same; zero: nothing is known
};

/// The types that count for one server: the user's, else those that it has told, else those that everybody knows
/// (google.protobuf, google.rpc, grpc.health, grpc.reflection). Valid as long as its thread makes no other.
class Types {
 public:
  /// `descriptors` may be null.
  Types(const Descriptors* descriptors, const net::Endpoint& server);
  const codec::MethodType* method(std::string_view path) const;
  const codec::MessageType* message(std::string_view name) const;

 private:
  const codec::Schema* given_ = nullptr;
  const codec::Schema* told_ = nullptr;
};

/// Types that everybody knows.
const codec::Schema& known_types();

}  // namespace baleen::dissect::grpc
