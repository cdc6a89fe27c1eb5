#include "net/defragment.h"

#include <algorithm>
#include <random>

namespace baleen::net {
namespace {

constexpr uint32_t kLargestDatagram = 65'535;
constexpr size_t kMostRanges = 64;  // islands of a datagram; real pieces arrive nearly in order

}  // namespace

size_t Defragmenter::KeyHash::operator()(const FragmentKey& k) const {
  return hash(FlowKey{{k.src, static_cast<uint16_t>(k.id)},
                      {k.dst, static_cast<uint16_t>(k.id >> 16)},
                      static_cast<Transport>(k.protocol)},
              seed);
}

Defragmenter::Defragmenter(const FragmentLimits& limits)
    : limits_(limits), datagrams_(16, KeyHash{std::random_device{}() | uint64_t{std::random_device{}()} << 32}) {}

Defragmenter::Answer Defragmenter::add(const FragmentKey& key, const FragmentPiece& piece, Timestamp time,
                                       Whole& whole) {
  ++counters_.pieces;
  if (piece.bytes.empty() || piece.offset + piece.bytes.size() > kLargestDatagram ||
      (!piece.last && piece.bytes.size() % 8 != 0)) {
    ++counters_.refused;
    return Answer::kBad;
  }
  make_room(time);
  const auto [it, fresh] = datagrams_.try_emplace(key);
  Datagram& datagram = it->second;
  if (fresh) {
    datagram.first = time;
    datagram.key = &it->first;
    link(datagram);
  }
  if (!insert(datagram, piece)) {
    ++counters_.refused;
    forget(datagram);
    return Answer::kBad;
  }
  const bool complete = datagram.total != 0 && datagram.have.size() == 1 && datagram.have[0].begin == 0 &&
                        datagram.have[0].end == datagram.total;
  if (!complete) return Answer::kWaits;
  const uint32_t total = datagram.total;
  const uint8_t next_header = datagram.next_header;
  bytes_ -= datagram.bytes.size();
  whole_.swap(datagram.bytes);
  datagram.bytes.clear();  // the piece may lie in what was whole_ before: it is not looked at any more
  forget(datagram);
  whole = {Bytes(whole_.data(), total), next_header};
  ++counters_.whole;
  return Answer::kWhole;
}

bool Defragmenter::insert(Datagram& datagram, const FragmentPiece& piece) {
  const uint32_t begin = piece.offset, end = piece.offset + static_cast<uint32_t>(piece.bytes.size());
  if (piece.last) {
    if (datagram.total != 0 && datagram.total != end) return false;
    datagram.total = end;
  }
  if (datagram.total != 0 &&
      (end > datagram.total || (!datagram.have.empty() && datagram.have.back().end > datagram.total)))
    return false;
  if (end > datagram.bytes.size()) {
    bytes_ += end - datagram.bytes.size();
    datagram.bytes.resize(end);
  }
  // Copy only what no earlier piece has brought, then merge the ranges.
  uint32_t at = begin, copied = 0;
  const auto copy_until = [&](uint32_t stop) {
    std::copy_n(piece.bytes.data() + (at - begin), stop - at, datagram.bytes.data() + at);
    copied += stop - at;
  };
  for (const Range& range : datagram.have) {
    if (range.end <= at) continue;
    if (range.begin >= end) break;
    if (range.begin > at) copy_until(range.begin);
    at = std::max(at, range.end);
  }
  if (at < end) copy_until(end);
  counters_.overlapping_bytes += end - begin - copied;
  if (piece.offset == 0 && copied != 0) {
    datagram.next_header = piece.next_header;
    datagram.vlan = piece.vlan;
  }

  Range merged{begin, end};
  std::erase_if(datagram.have, [&](const Range& range) {
    if (range.end < merged.begin || range.begin > merged.end) return false;
    merged = {std::min(merged.begin, range.begin), std::max(merged.end, range.end)};
    return true;
  });
  const auto place =
      std::find_if(datagram.have.begin(), datagram.have.end(), [&](const Range& r) { return r.begin > merged.begin; });
  datagram.have.insert(place, merged);
  return datagram.have.size() <= kMostRanges;
}

void Defragmenter::link(Datagram& datagram) {
  datagram.older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = &datagram;
  newest_ = &datagram;
}

void Defragmenter::forget(Datagram& datagram) {
  (datagram.older != nullptr ? datagram.older->newer : oldest_) = datagram.newer;
  (datagram.newer != nullptr ? datagram.newer->older : newest_) = datagram.older;
  bytes_ -= datagram.bytes.size();
  datagrams_.erase(datagrams_.find(*datagram.key));
}

/// Keeps the first bytes of what did not become whole until somebody asks for them.
void Defragmenter::retire(Datagram& datagram) {
  if (has_head(datagram) && retired_.size() < kMostRetired) {
    Retired& kept = retired_.emplace_back(Retired{*datagram.key, {}});
    kept.datagram.have = datagram.have;
    kept.datagram.next_header = datagram.next_header;
    kept.datagram.vlan = datagram.vlan;
    kept.datagram.first = datagram.first;
    kept.datagram.bytes.assign(datagram.bytes.begin(), datagram.bytes.begin() + datagram.have[0].end);
  }
  forget(datagram);
}

bool Defragmenter::take_head(Timestamp now, bool all, Head& head) {
  if (retired_.empty()) {
    Datagram* d = oldest_;
    while (d != nullptr && (all || now - d->first >= limits_.head_wait) && !has_head(*d)) d = d->newer;
    if (d == nullptr || !(all || now - d->first >= limits_.head_wait)) return false;
    retire(*d);
  }
  Retired& kept = retired_.front();
  head_.swap(kept.datagram.bytes);
  head = {kept.key, head_, kept.datagram.next_header, kept.datagram.vlan, kept.datagram.first};
  retired_.pop_front();
  ++counters_.heads;
  return true;
}

void Defragmenter::make_room(Timestamp time) {
  while (oldest_ != nullptr && time - oldest_->first >= limits_.timeout) {
    ++counters_.expired;
    retire(*oldest_);
  }
  while (oldest_ != nullptr && (datagrams_.size() >= limits_.datagrams || bytes_ >= limits_.bytes)) {
    ++counters_.evicted;
    forget(*oldest_);
  }
}

}  // namespace baleen::net
