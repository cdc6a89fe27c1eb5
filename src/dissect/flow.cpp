#include "dissect/flow.h"

namespace baleen::dissect {
namespace {

constexpr size_t kSlab = 64;

}  // namespace

FlowTable::FlowTable(size_t limit) : buckets_(1024), mask_(1023), limit_(limit) {}
FlowTable::~FlowTable() = default;

Flow* FlowTable::insert(const net::FlowKey& key, uint64_t hash, Flow::List list) {
  if (size_ >= buckets_.size()) grow();
  if (free_ == nullptr) {
    slabs_.push_back(std::make_unique<Flow[]>(kSlab));
    for (size_t i = kSlab; i-- > 0;) {
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
  append(flow);
  ++size_;
  return flow;
}

void FlowTable::erase(Flow* flow) {
  unlink(flow);
  Flow** link = &buckets_[net::hash(flow->key) & mask_];
  while (*link != flow) link = &(*link)->chain;
  *link = flow->chain;
  *flow = Flow{};
  flow->chain = free_;
  free_ = flow;
  --size_;
}

void FlowTable::touch(Flow* flow, Flow::List list) {
  if (flow->list == list && lists_[static_cast<size_t>(list)].newest == flow) return;
  unlink(flow);
  flow->list = list;
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

void FlowTable::grow() {
  std::vector<Flow*> bigger(buckets_.size() * 2);
  mask_ = bigger.size() - 1;
  for (Flow* flow : buckets_) {
    while (flow != nullptr) {
      Flow* rest = flow->chain;
      Flow*& bucket = bigger[net::hash(flow->key) & mask_];
      flow->chain = bucket;
      bucket = flow;
      flow = rest;
    }
  }
  buckets_.swap(bigger);
}

}  // namespace baleen::dissect
