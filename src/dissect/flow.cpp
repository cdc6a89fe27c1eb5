#include "dissect/flow.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <random>

#include "base/check.h"

namespace baleen::dissect {
namespace {

constexpr size_t kSlab = 256;

uint64_t secret() {
  std::random_device source;
  return source() | uint64_t{source()} << 32;
}

}  // namespace

// The buckets are there from the start, for as many flows as there may be: growing would stop the data path for a tenth
// of a second at a million flows. They are zero pages of the system until they are used; and huge ones where there
// are such, because each new flow goes to a place of its own: on small pages a fault of its own, later a miss of the
// TLB.
FlowTable::FlowTable(size_t limit)
    : seed_(secret()),
      mask_(std::bit_ceil(std::max<size_t>(limit, 1024)) - 1),
      buckets_(map_buckets(mask_ + 1)),
      limit_(limit) {}

std::unique_ptr<Flow* [], FlowTable::Unmap> FlowTable::map_buckets(size_t number) {
  const size_t bytes = number * sizeof(Flow*);
  void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  BALEEN_CHECK(at != MAP_FAILED);
  ::madvise(at, bytes, MADV_HUGEPAGE);  // a wish: small pages serve as well
  return {static_cast<Flow**>(at), Unmap{bytes}};
}

void FlowTable::Unmap::operator()(Flow** p) const {
  ::munmap(p, bytes);
}

FlowTable::~FlowTable() = default;

Flow* FlowTable::insert(const net::FlowKey& key, uint64_t hash, Flow::List list, Timestamp time) {
  if (free_ == nullptr) {
    const size_t slab = std::min(kSlab, limit_);
    slabs_.push_back(std::make_unique<Flow[]>(slab));
    for (size_t i = slab; i-- > 0;) {
      slabs_.back()[i].chain = free_;
      free_ = &slabs_.back()[i];
    }
  }
  Flow* flow = free_;
  free_ = flow->chain;
  flow->key = key;
  flow->hash = static_cast<uint32_t>(hash >> 32);
  flow->chain = buckets_[hash & mask_];
  buckets_[hash & mask_] = flow;
  flow->list = list;
  flow->listed = time;
  append(flow);
  ++size_;
  return flow;
}

void FlowTable::erase(Flow* flow) {
  unlink(flow);
  Flow** link = &buckets_[hash(flow->key) & mask_];
  while (*link != flow) link = &(*link)->chain;
  *link = flow->chain;
  *flow = Flow{};
  flow->chain = free_;
  free_ = flow;
  --size_;
}

void FlowTable::move(Flow* flow, Flow::List list, Timestamp time) {
  unlink(flow);
  flow->list = list;
  flow->listed = time;
  append(flow);
}

void FlowTable::unlink(Flow* flow) {
  Ends& ends = lists_[static_cast<size_t>(flow->list)];
  (flow->older != nullptr ? flow->older->newer : ends.oldest) = flow->newer;
  (flow->newer != nullptr ? flow->newer->older : ends.newest) = flow->older;
  flow->older = flow->newer = nullptr;
}

void FlowTable::append(Flow* flow) {
  Ends& ends = lists_[static_cast<size_t>(flow->list)];
  flow->older = ends.newest;
  (ends.newest != nullptr ? ends.newest->newer : ends.oldest) = flow;
  ends.newest = flow;
}

}  // namespace baleen::dissect
