#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "item/protocol.h"
#include "item/value.h"
#include "net/address.h"

namespace baleen::item {

class ItemPool;

/// Who named an end (reference row I-05).
enum class ResolvedBy : uint8_t {
  kNone,
  kIp,
  kIpAndPort,
  kDns,
  kHttpHeader,
  kCgroupId,
  kContainerId,
  kSyscall,
  kSidecarProxy
};

/// One end of a conversation with the names it had at that time. Views live in the item's arena or longer.
struct ResolvedEndpoint {
  net::Endpoint address;
  std::string_view name, name_space, pod, service, node, process;
  Value pod_object, service_object, endpoint_slice;  // Kubernetes objects, null when unknown
  uint32_t process_id = 0;
  uint64_t cgroup_id = 0;
  std::string_view container_id;
  ResolvedBy by = ResolvedBy::kNone;
};

/// Where the bytes came from (reference: capture_source).
enum class CaptureSource : uint8_t { kUnspecified, kAfPacket, kEbpf, kEbpfTls };

/// What became of a request. Everything but kPaired and kSingle shows as `error` in the item's JSON.
enum class Outcome : uint8_t {
  kPaired,      // a request and its answer
  kSingle,      // the protocol has single messages: `data`
  kNoResponse,  // half connection: the answer never came, or its bytes were lost
  kNoRequest,   // half connection: the request was before our time, or its bytes were lost
  kDissection,  // the bytes do not follow the protocol; error_message says how
  kConnection,  // the transport failed: refused, reset
  kTimeout,     // not complete within the time that is configured
};

/// One side of an item. `payload` is what stands under "request", "response" or "data" in JSON.
struct Message {
  Value payload;
  Timestamp time{};   // of the packet in which it began
  uint64_t size = 0;  // bytes on the stream, headers and body, before any cap
  bool present = false;
};

/// What identifies the program that captures; shared by all its items and outlives them.
struct Origin {
  std::string_view worker;  // "ip:port"
  std::string_view node_name;
  std::string_view node_ip;
};

/// Suffix of the stream's name, as in reference row R-40: "000000000042.pcap", "..._udp.pcap", "..._tls.pcap".
enum class StreamKind : uint8_t { kTcp, kUdp, kTls, kDns };

/// A request and what came of it: the narrow waist. What shows, filters, scripts, records or counts sees only items.
///
/// Self-contained: every view in it points into its own arena, into its Origin, or into constants. After
/// Output::finish() it is immutable and may be read by any thread that holds an ItemRef.
struct Item {
  Arena arena;
  const Protocol* protocol = nullptr;
  const Origin* origin = nullptr;
  uint64_t stream = 0;  // number of the L4 stream on this worker
  uint64_t index = 0;   // number of the item within its stream
  StreamKind stream_kind = StreamKind::kTcp;
  CaptureSource source = CaptureSource::kUnspecified;
  Outcome outcome = Outcome::kPaired;
  bool tls = false;   // the bytes were decrypted by us
  Bytes tls_random;   // ... with the secrets of the ClientHello that has this random; empty otherwise
  uint16_t vlan = 0;  // 0: untagged
  Value proxy_head;   // what a head of the PROXY protocol announced before these bytes; null without one
  ResolvedEndpoint client, server;
  Message request, response, data;
  std::string_view error_message;
  std::string_view record;  // names of the recordings that it belongs to, between commas
  uint64_t match_key = 0;   // for matchers, while the item waits
  Item* next = nullptr;     // for queues of their one owner

  // Set by ItemPool.
  ItemPool* home = nullptr;
  std::atomic<uint32_t> references{0};

  explicit Item(BlockPool* blocks) : arena(blocks) {}

  /// When the item happened: its request's time, else that of what there is.
  Timestamp time() const { return request.present ? request.time : response.present ? response.time : data.time; }
  /// From request to response; zero unless both are there.
  Duration elapsed() const {
    return request.present && response.present && response.time > request.time ? response.time - request.time
                                                                               : Duration{0};
  }
};

/// Shared ownership of a finished item; any thread. The last holder sends it home to its pool.
class ItemRef {
 public:
  ItemRef() = default;
  explicit ItemRef(Item* item) : item_(item) {
    if (item_ != nullptr) item_->references.fetch_add(1, std::memory_order_relaxed);
  }
  ItemRef(const ItemRef& other) : ItemRef(other.item_) {}
  ItemRef(ItemRef&& other) noexcept : item_(std::exchange(other.item_, nullptr)) {}
  ItemRef& operator=(ItemRef other) noexcept {
    std::swap(item_, other.item_);
    return *this;
  }
  ~ItemRef() { reset(); }
  inline void reset();
  const Item* get() const { return item_; }
  /// The item itself while nobody else holds it; else null.
  Item* sole() const {
    return item_ != nullptr && item_->references.load(std::memory_order_acquire) == 1 ? item_ : nullptr;
  }
  const Item& operator*() const { return *item_; }
  const Item* operator->() const { return item_; }
  explicit operator bool() const { return item_ != nullptr; }

 private:
  Item* item_ = nullptr;
};

/// Makes and reuses items. One thread takes; any thread may give back. Outlives its items. What the taking thread gives
/// back is at once the next one that it takes, while the caches still have it. Where another thread is to take from now
/// on, the one before has given back whatever it will.
class ItemPool {
 public:
  ItemPool() = default;
  ~ItemPool();
  ItemPool(const ItemPool&) = delete;
  ItemPool& operator=(const ItemPool&) = delete;

  /// An empty item without references: the caller owns it until it wraps it into an ItemRef or gives it back.
  Item* take();
  /// Owner thread only; for items that nobody else holds.
  void give(Item* item);
  /// Any thread; likewise.
  void give_back(Item* item) {
    if (taker_.load(std::memory_order_relaxed) == this_thread()) {
      give(item);
    } else {
      give_from_anywhere(item);
    }
  }

  size_t live() const { return live_; }  // taken and not home again, as far as the owner has seen

 private:
  /// A number that no other thread has or had.
  static uint64_t this_thread() {
    static thread_local uint64_t number = 0;
    if (number == 0) number = next_thread();
    return number;
  }
  static uint64_t next_thread();
  void give_from_anywhere(Item* item);
  void collect();
  BlockPool blocks_;
  std::atomic<uint64_t> taker_{0};  // the thread that took last
  Item* free_ = nullptr;
  size_t live_ = 0;
  std::atomic<Item*> returned_{nullptr};
};

inline void ItemRef::reset() {
  Item* item = std::exchange(item_, nullptr);
  if (item == nullptr) return;
  // Who holds the only reference needs no locked instruction: nobody is there who could make another.
  if (item->references.load(std::memory_order_acquire) == 1) {
    item->references.store(0, std::memory_order_relaxed);
  } else if (item->references.fetch_sub(1, std::memory_order_acq_rel) != 1) {
    return;
  }
  item->home->give_back(item);
}

}  // namespace baleen::item
