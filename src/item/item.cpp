#include "item/item.h"

namespace baleen::item {
namespace {

void reset(Item& item) {
  item.arena.clear();
  item.protocol = nullptr;
  item.origin = nullptr;
  item.stream = item.index = item.match_key = 0;
  item.stream_kind = StreamKind::kTcp;
  item.source = CaptureSource::kUnspecified;
  item.outcome = Outcome::kPaired;
  item.tls = false;
  item.tls_random = {};
  item.vlan = 0;
  item.proxy_head = {};
  item.client = item.server = ResolvedEndpoint{};
  item.request = item.response = item.data = Message{};
  item.error_message = {};
  item.record = {};
  item.next = nullptr;
}

}  // namespace

ItemPool::~ItemPool() {
  collect();
  while (free_ != nullptr) delete std::exchange(free_, free_->next);
}

uint64_t ItemPool::next_thread() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

Item* ItemPool::take() {
  taker_.store(this_thread(), std::memory_order_relaxed);
  if (free_ == nullptr) collect();
  ++live_;
  if (free_ == nullptr) {
    auto* item = new Item(&blocks_);
    item->home = this;
    return item;
  }
  Item* item = std::exchange(free_, free_->next);
  item->next = nullptr;
  return item;
}

void ItemPool::give(Item* item) {
  reset(*item);
  item->next = free_;
  free_ = item;
  --live_;
}

void ItemPool::give_from_anywhere(Item* item) {
  Item* head = returned_.load(std::memory_order_relaxed);
  do {
    item->next = head;
  } while (!returned_.compare_exchange_weak(head, item, std::memory_order_release, std::memory_order_relaxed));
}

void ItemPool::collect() {
  // Takes the whole stack at once: no ABA. Arenas are cleared here, because their blocks belong to our pool.
  Item* item = returned_.exchange(nullptr, std::memory_order_acquire);
  while (item != nullptr) give(std::exchange(item, item->next));
}

}  // namespace baleen::item
