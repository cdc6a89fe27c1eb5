#include "net/defragment.h"

#include <algorithm>

namespace baleen::net {
namespace {

constexpr uint32_t kLargestDatagram = 65'535;
constexpr size_t kMostRanges = 512;  // holes of a datagram; real ones arrive nearly in order

}  // namespace

size_t Defragmenter::KeyHash::operator()(const FragmentKey& k) const {
  return hash(FlowKey{{k.src, static_cast<uint16_t>(k.id)},
                      {k.dst, static_cast<uint16_t>(k.id >> 16)},
                      static_cast<Transport>(k.protocol)});
}

Defragmenter::Answer Defragmenter::add(const FragmentKey& key, const FragmentPiece& piece, Timestamp time,
                                       Whole& whole) {
  if (piece.bytes.empty() || piece.offset + piece.bytes.size() > kLargestDatagram) return Answer::kBad;
  if (!piece.last && piece.bytes.size() % 8 != 0) return Answer::kBad;
  make_room(time);
  const auto [it, fresh] = datagrams_.try_emplace(key);
  Datagram& datagram = it->second;
  if (fresh) datagram.first = time;
  if (!insert(datagram, piece)) {
    forget(it);
    return Answer::kBad;
  }
  const bool complete = datagram.total != 0 && datagram.have.size() == 1 && datagram.have[0].begin == 0 &&
                        datagram.have[0].end == datagram.total;
  if (!complete) return Answer::kWaits;
  whole_.swap(datagram.bytes);
  bytes_ += datagram.bytes.size();  // the accounting follows the swapped-in vector
  bytes_ -= whole_.size();
  whole = {Bytes(whole_.data(), datagram.total), datagram.next_header};
  forget(it);
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
  if (piece.offset == 0) datagram.next_header = piece.next_header;
  if (end > datagram.bytes.size()) {
    bytes_ += end - datagram.bytes.size();
    datagram.bytes.resize(end);
  }
  // Copy only what no earlier piece has brought, then merge the ranges.
  uint32_t at = begin;
  for (const Range& range : datagram.have) {
    if (range.end <= at) continue;
    if (range.begin >= end) break;
    if (range.begin > at) std::copy_n(piece.bytes.data() + (at - begin), range.begin - at, datagram.bytes.data() + at);
    at = std::max(at, range.end);
  }
  if (at < end) std::copy_n(piece.bytes.data() + (at - begin), end - at, datagram.bytes.data() + at);

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

void Defragmenter::forget(Map::iterator it) {
  bytes_ -= it->second.bytes.size();
  datagrams_.erase(it);
}

void Defragmenter::make_room(Timestamp time) {
  const bool full = datagrams_.size() >= limits_.datagrams || bytes_ >= limits_.bytes;
  if (!full && time - last_sweep_ < std::chrono::seconds(1)) return;
  last_sweep_ = time;
  for (auto it = datagrams_.begin(); it != datagrams_.end();) {
    const auto here = it++;
    if (time - here->second.first < limits_.timeout) continue;
    ++expired_;
    forget(here);
  }
  while (!datagrams_.empty() && (datagrams_.size() >= limits_.datagrams || bytes_ >= limits_.bytes)) {
    ++evicted_;
    forget(datagrams_.begin());
  }
}

}  // namespace baleen::net
