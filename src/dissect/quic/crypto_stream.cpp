#include "dissect/quic/crypto_stream.h"

#include <algorithm>

namespace baleen::dissect::quic {

void CryptoStream::grow(size_t to, Arena& arena) {
  if (to <= room_) return;
  const size_t room = std::min(kMost, std::max<size_t>({to, room_ * size_t{2}, 2048}));
  auto* const wider = static_cast<uint8_t*>(arena.allocate(room, 1));
  if (count_ != 0) std::copy(bytes_, bytes_ + ranges_[count_ - 1].end, wider);
  bytes_ = wider;
  room_ = static_cast<uint32_t>(room);
}

bool CryptoStream::insert(uint64_t offset, Bytes piece, Arena& arena) {
  if (piece.empty()) return true;
  const size_t whole = contiguous().size() + read_;
  if (offset > kMost || piece.size() > kMost - offset || offset > whole + kAhead) return false;
  const auto begin = static_cast<uint32_t>(offset), end = static_cast<uint32_t>(offset + piece.size());
  // Those that it touches become one with it.
  Range* const first =
      std::find_if(ranges_.begin(), ranges_.begin() + count_, [&](const Range& r) { return r.end >= begin; });
  Range* last = first;
  while (last != ranges_.begin() + count_ && last->begin <= end) ++last;
  if (first == last && count_ == kMostHoles) return false;
  grow(end, arena);
  uint32_t at = begin;  // bytes between those that are there
  for (const Range* r = first; r <= last; ++r) {
    const uint32_t until = r == last ? end : std::min(r->begin, end);
    if (at < until) std::copy(piece.begin() + (at - begin), piece.begin() + (until - begin), bytes_ + at);
    if (r != last) at = std::max(at, r->end);
  }
  if (first == last) {
    std::copy_backward(first, ranges_.begin() + count_, ranges_.begin() + count_ + 1);
    *first = {begin, end};
    ++count_;
  } else {
    *first = {std::min(first->begin, begin), std::max(last[-1].end, end)};
    std::copy(last, ranges_.begin() + count_, first + 1);
    count_ -= static_cast<size_t>(last - first) - 1;
  }
  return true;
}

Bytes CryptoStream::contiguous() const {
  if (count_ == 0 || ranges_[0].begin != 0) return {};
  return {bytes_ + read_, ranges_[0].end - read_};
}

Bytes CryptoStream::front() const {
  const Bytes there = contiguous();
  if (there.size() < 4) return {};
  const size_t size = 4 + (size_t{there[1]} << 16 | size_t{there[2]} << 8 | there[3]);
  return size <= there.size() ? there.first(size) : Bytes{};
}

}  // namespace baleen::dissect::quic
