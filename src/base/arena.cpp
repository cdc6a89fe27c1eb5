#include "base/arena.h"

#include <cstdlib>

#include "base/check.h"

namespace baleen {
namespace {

void* system_block(size_t bytes) {
  void* p = std::aligned_alloc(16, (bytes + 15) & ~size_t{15});
  BALEEN_CHECK(p != nullptr);
  return p;
}

}  // namespace

BlockPool::~BlockPool() {
  while (head_ != nullptr) std::free(std::exchange(head_, head_->next));
}

void* BlockPool::take() {
  if (head_ == nullptr) return system_block(kBlockBytes);
  --count_;
  return std::exchange(head_, head_->next);
}

void BlockPool::give(void* block) {
  if (count_ >= keep_) {
    std::free(block);
    return;
  }
  head_ = new (block) Free{head_};
  ++count_;
}

void* Arena::allocate_slow(size_t size) {
  constexpr size_t kHeader = (sizeof(Header) + 15) & ~size_t{15};
  if (size > BlockPool::kBlockBytes - kHeader) {
    auto* h = static_cast<Header*>(system_block(kHeader + size));
    *h = {large_, kHeader + size};
    large_ = h;
    footprint_ += h->bytes;
    return reinterpret_cast<char*>(h) + kHeader;
  }
  auto* h = static_cast<Header*>(pool_ != nullptr ? pool_->take() : system_block(BlockPool::kBlockBytes));
  *h = {reinterpret_cast<Header*>(block_), BlockPool::kBlockBytes};
  block_ = reinterpret_cast<char*>(h);
  room_ = BlockPool::kBlockBytes;
  footprint_ += BlockPool::kBlockBytes;
  used_ = kHeader + size;
  return block_ + kHeader;
}

void Arena::free_block(Header* h) {
  footprint_ -= h->bytes;
  if (h->bytes == BlockPool::kBlockBytes && pool_ != nullptr) {
    pool_->give(h);
  } else {
    std::free(h);
  }
}

void Arena::clear() {
  while (large_ != nullptr) {
    Header* h = std::exchange(large_, large_->previous);
    footprint_ -= h->bytes;
    std::free(h);
  }
  if (block_ == nullptr) return;
  auto* h = reinterpret_cast<Header*>(block_);
  while (h->previous != nullptr) {
    Header* previous = h->previous;
    free_block(h);
    h = previous;
  }
  block_ = reinterpret_cast<char*>(h);
  used_ = (sizeof(Header) + 15) & ~size_t{15};
}

void Arena::release() {
  clear();
  if (block_ == nullptr) return;
  free_block(reinterpret_cast<Header*>(block_));
  block_ = nullptr;
  used_ = room_ = 0;
}

}  // namespace baleen
