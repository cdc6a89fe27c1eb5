#include "dissect/grpc/descriptors.h"

#include "codec/protobuf.h"

namespace baleen::dissect::grpc {
namespace {

std::atomic<uint64_t> last_version{0};

std::string_view name_of_file(Bytes file) {
  codec::WireReader reader(file);
  for (codec::WireField f; reader.next(f);)
    if (f.number == 1 && f.type == codec::WireField::Type::kBytes) return as_text(f.bytes);
  return {};
}

}  // namespace

/// Kept by each thread, so that looking up a type takes no lock.
struct Descriptors::Seen {
  uint64_t version = 0;
  Schema given;
  std::map<net::Endpoint, Schema> told;
};

const Descriptors::Seen& Descriptors::seen() const {
  static thread_local Seen last;
  if (last.version == version_.load(std::memory_order_acquire)) return last;
  const std::lock_guard lock(mutex_);
  last.given = given_;
  last.told.clear();
  for (const auto& [endpoint, server] : servers_) last.told.emplace(endpoint, server.schema);
  last.version = version_.load(std::memory_order_relaxed);
  return last;
}

void Descriptors::set(std::shared_ptr<const codec::Schema> given) {
  const std::lock_guard lock(mutex_);
  given_ = std::move(given);
  version_.store(++last_version, std::memory_order_release);
}

/// Whether it is new and there is room for it.
bool Descriptors::add(Server& server, Bytes file) {
  const std::string_view name = name_of_file(file);
  if (server.files.find(name) != server.files.end()) return false;
  codec::SchemaBuilder alone;
  const size_t work = server.bytes + file.size();
  if (name.empty() || server.files.size() >= kMostFiles || work > kMostBytes || server.work + work > kMostWork ||
      !alone.add_file(file)) {
    ++counters_.refused;
    return false;
  }
  server.files.emplace(name, as_text(file));
  server.bytes += file.size();
  bytes_ += file.size();
  ++counters_.files;
  return true;
}

void Descriptors::make_room() {
  while (servers_.size() > 1 && (servers_.size() > kMostServers || bytes_ > kMostAllBytes)) {
    const auto oldest = servers_.find(order_.front());
    bytes_ -= oldest->second.bytes;
    servers_.erase(oldest);
    order_.pop_front();
    ++counters_.forgotten;
  }
}

void Descriptors::learn(const net::Endpoint& endpoint, const std::vector<Bytes>& files) {
  const std::lock_guard lock(mutex_);
  const auto [at, fresh] = servers_.try_emplace(endpoint);
  Server& server = at->second;
  if (fresh) server.place = order_.insert(order_.end(), endpoint);
  bool changed = false;
  for (const Bytes file : files) changed |= add(server, file);
  if (!changed && !fresh) return;
  codec::SchemaBuilder builder;
  for (const auto& [name, file] : server.files) (void)builder.add_file(as_bytes(file));  // each was read before
  server.work += server.bytes;
  if (auto schema = builder.build(true)) server.schema = *std::move(schema);
  make_room();
  counters_.servers = servers_.size();
  version_.store(++last_version, std::memory_order_release);
}

DescriptorsCounters Descriptors::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

Types::Types(const Descriptors* descriptors, const net::Endpoint& server) {
  if (descriptors == nullptr || descriptors->version_.load(std::memory_order_relaxed) == 0) return;
  const Descriptors::Seen& seen = descriptors->seen();
  given_ = seen.given.get();
  if (seen.told.empty()) return;
  if (const auto at = seen.told.find(server); at != seen.told.end()) told_ = at->second.get();
}

const codec::MethodType* Types::method(std::string_view path) const {
  for (const codec::Schema* schema : {given_, told_, &known_types()})
    if (const auto* const method = schema != nullptr ? schema->method(path) : nullptr; method != nullptr) return method;
  return nullptr;
}

const codec::MessageType* Types::message(std::string_view name) const {
  for (const codec::Schema* schema : {given_, told_, &known_types()})
    if (const auto* const type = schema != nullptr ? schema->message(name) : nullptr; type != nullptr) return type;
  return nullptr;
}

}  // namespace baleen::dissect::grpc
