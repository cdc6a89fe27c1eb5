#include "base/arena.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "base/check.h"

namespace baleen {
namespace {

void* system_block(size_t bytes) {
  void* p = std::aligned_alloc(16, (bytes + 15) & ~size_t{15});
  BALEEN_CHECK(p != nullptr);
  return p;
}

/// Of a power of two from 8 KiB on.
size_t class_of(size_t bytes) { return static_cast<size_t>(std::countr_zero(bytes)) - 13; }

}  // namespace

BlockPool::~BlockPool() {
  while (head_ != nullptr) std::free(std::exchange(head_, head_->next));
  for (Free*& head : large_)
    while (head != nullptr) std::free(std::exchange(head, head->next));
}

void* BlockPool::take() {
  if (head_ == nullptr) return system_block(kBlockBytes);
  --count_;
  unpoison(head_, kBlockBytes);
  return std::exchange(head_, head_->next);
}

void BlockPool::give(void* block) {
  if (count_ >= keep_) {
    std::free(block);
    return;
  }
  head_ = new (block) Free{head_};
  poison(head_ + 1, kBlockBytes - sizeof(Free));
  ++count_;
}

void* BlockPool::take_large(size_t& bytes) {
  if (bytes > kLargest) return system_block(bytes);
  bytes = std::bit_ceil(std::max(bytes, kBlockBytes * 2));
  Free*& head = large_[class_of(bytes)];
  if (head == nullptr) return system_block(bytes);
  large_bytes_ -= bytes;
  unpoison(head, bytes);
  return std::exchange(head, head->next);
}

void BlockPool::give_large(void* block, size_t bytes) {
  if (bytes > kLargest || large_bytes_ + bytes > kKeepLarge) return std::free(block);
  Free*& head = large_[class_of(bytes)];
  head = new (block) Free{head};
  poison(head + 1, bytes - sizeof(Free));
  large_bytes_ += bytes;
}

void* Arena::allocate_slow(size_t size) {
  if (size > kMostOfBlock) {
    size_t bytes = kHeader + size;
    auto* h = static_cast<Header*>(pool_ != nullptr ? pool_->take_large(bytes) : system_block(bytes));
    *h = {large_, bytes};
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
  poison(block_ + used_, room_ - used_);
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
    if (pool_ != nullptr) {
      pool_->give_large(h, h->bytes);
    } else {
      std::free(h);
    }
  }
  if (block_ == nullptr) return;
  auto* h = reinterpret_cast<Header*>(block_);
  while (h->previous != nullptr) {
    Header* previous = h->previous;
    free_block(h);
    h = previous;
  }
  block_ = reinterpret_cast<char*>(h);
  used_ = kHeader;
  poison(block_ + used_, room_ - used_);
}

void Arena::release() {
  clear();
  if (block_ == nullptr) return;
  free_block(reinterpret_cast<Header*>(block_));
  block_ = nullptr;
  used_ = room_ = 0;
}

}  // namespace baleen
