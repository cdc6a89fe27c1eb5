#include "net/sctp.h"

#include <algorithm>
#include <utility>

namespace baleen::net {
namespace {

constexpr uint32_t kFarthest = 1u << 20;  // chunks ahead: further is another association's, or a lie

}  // namespace

bool SctpChunks::next(SctpChunk& chunk) {
  if (at_.size() < 4) return false;
  const uint32_t length = load_be16(&at_[2]);
  if (length < 4) return false;
  chunk.type = at_[0];
  chunk.flags = at_[1];
  const auto here = std::min<size_t>(length, at_.size());
  chunk.missing = length - static_cast<uint32_t>(here);
  if (chunk.missing > missing_) return false;  // longer than the packet ever was
  chunk.body = at_.subspan(4, here - 4);
  at_ = at_.subspan(std::min<size_t>((length + 3u) & ~3u, at_.size()));
  return true;
}

std::optional<SctpData> sctp_data(Bytes body) {
  if (body.size() < 12) return std::nullopt;
  return SctpData{load_be32(body.data()), load_be16(&body[4]), load_be16(&body[6]), load_be32(&body[8]),
                  body.subspan(12)};
}

void SctpHalf::start(uint32_t tsn, SegmentStore& store) {
  clear(store);
  next_ = tsn;
  started_ = true;
}

bool SctpHalf::offer(uint32_t tsn, const SctpChunk& chunk, Timestamp time, SegmentStore& store,
                     SctpCounters& counters) {
  ++counters.chunks;
  if (!started_) start(tsn, store);
  if (tsn == next_) {
    ++next_;
    return true;
  }
  if (seq_less(tsn, next_)) {
    ++counters.retransmitted;
    return false;
  }
  StoredSegment** link = &early_;
  while (*link != nullptr && seq_less((*link)->seq, tsn)) link = &(*link)->next;
  if (*link != nullptr && (*link)->seq == tsn) {
    ++counters.retransmitted;
    return false;
  }
  StoredSegment* const kept = count_ < kMostEarly && tsn - next_ < kFarthest ? store.take(chunk.body) : nullptr;
  if (kept == nullptr) {
    ++counters.refused;
    return false;
  }
  ++counters.early;
  kept->seq = tsn;
  kept->arrival = {time, chunk.missing, false};
  kept->next = std::exchange(*link, kept);
  ++count_;
  return false;
}

StoredSegment* SctpHalf::pop() {
  if (early_ == nullptr || early_->seq != next_) return nullptr;
  ++next_;
  --count_;
  return std::exchange(early_, early_->next);
}

void SctpHalf::skip_hole(SctpCounters& counters) {
  if (early_ == nullptr) return;
  counters.lost += early_->seq - next_;
  next_ = early_->seq;
}

void SctpHalf::clear(SegmentStore& store) {
  while (early_ != nullptr) store.give(std::exchange(early_, early_->next));
  count_ = 0;
}

}  // namespace baleen::net
