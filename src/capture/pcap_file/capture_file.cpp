#include "capture/pcap_file/capture_file.h"

#include <algorithm>
#include <cstring>

namespace baleen::capture {

namespace {

constexpr size_t kRecordsAtOnce = 64;  // with their 72 bytes each they stay in the first-level cache
constexpr size_t kMappedAtOnce = 1 << 20;
constexpr size_t kFetchedAtOnce = 4;  // times what the window is moved on by

}  // namespace

CaptureFile::CaptureFile(InputFile input, std::string path, size_t buffer_bytes, const FileEvents* events)
    : input_(std::move(input)),
      path_(std::move(path)),
      events_(events),
      records_(kRecordsAtOnce),
      mapping_(input_.map()),
      capacity_(buffer_bytes) {
  if (!mapping_) buffer_ = std::make_unique_for_overwrite<uint8_t[]>(capacity_);
}

Result<CaptureFile> CaptureFile::open(const std::string& path, bool follow, size_t buffer_bytes,
                                      const FileEvents* events) {
  BALEEN_TRY(InputFile input, InputFile::open(path, follow));
  return CaptureFile(std::move(input), path, buffer_bytes, events);
}

Result<CaptureFile::State> CaptureFile::advance() {
  using Kind = codec::pcap::Reader::Kind;
  for (;;) {
    const auto step = reader_.read(window(), records_);
    if (mapping_ && mapping_.is_broken()) {
      filled_ = 0;
      constexpr const char* kWhat =
          "the file was cut to a shorter length while it was read, or its disk fails: the last packets may be wrong";
      return Error{Code::kIo, kWhat}.in(path_);
    }
    begin_ += step.consumed;
    filled_ = step.packets;
    if (step.kind == Kind::kSecrets && events_ && events_->on_secrets) events_->on_secrets(step.type, step.body);
    if (step.kind == Kind::kNames && events_ && events_->on_name) reader_.read_names(step.body, events_->on_name);
    if (filled_ != 0) return State::kRecords;  // damage behind them is told the next time
    if (step.kind == Kind::kFailed) return Error(reader_.error()).in(path_);
    if (step.kind != Kind::kNeed) continue;
    auto more = fill(step.need);
    if (!more) return std::move(more).error().in(path_);
    if (*more) continue;
    if (!input_.at_end()) return State::kLater;
    if (auto finished = reader_.finish(window()); !finished) return std::move(finished).error().in(path_);
    begin_ = end_;
    return State::kEnd;
  }
}

Bytes CaptureFile::window() const {
  return {(mapping_ ? mapping_.bytes().data() : buffer_.get()) + begin_, end_ - begin_};
}

/// Makes the window longer; it has to hold `need` bytes in the end. False: nothing more came.
Result<bool> CaptureFile::fill(size_t need) {
  if (mapping_ && end_ < mapping_.bytes().size()) {
    BALEEN_TRY_DO(look_further(need));
    return true;
  }
  if (mapping_) leave_mapping();
  const size_t left = end_ - begin_;
  if (need > capacity_) {
    const size_t capacity = std::max(need, capacity_ * 2);
    auto larger = std::make_unique_for_overwrite<uint8_t[]>(capacity);
    std::memcpy(larger.get(), buffer_.get() + begin_, left);
    buffer_ = std::move(larger);
    capacity_ = capacity;
  } else if (begin_ != 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, left);
  }
  begin_ = 0;
  end_ = left;
  BALEEN_TRY(const size_t got, input_.read({buffer_.get() + end_, capacity_ - end_}));
  end_ += got;
  return got != 0;
}

/// The window is moved on by a part of what is fetched: the rest is for those who read ahead. Little at first: who only
/// wants to know when a file begins looks no further.
Result<> CaptureFile::look_further(size_t need) {
  const size_t all = mapping_.bytes().size(), more = std::clamp(end_, capacity_, kMappedAtOnce);
  const size_t end = std::max(begin_ + need, end_ + more);
  if (fetched_ < all && end + more > fetched_) {
    mapping_.forget(begin_);
    const size_t until = std::min(all, end + (end_ == 0 ? 0 : kFetchedAtOnce * more));
    BALEEN_TRY_DO(mapping_.fetch(fetched_, until - fetched_));
    fetched_ = until;
    ahead_.set_end(mapping_.bytes().data() + fetched_);
  }
  end_ = std::min(all, end);
  return {};
}

/// The file may have become longer since it was mapped: what follows is read.
void CaptureFile::leave_mapping() {
  const Bytes left = window();
  capacity_ = std::max(capacity_, left.size());
  buffer_ = std::make_unique_for_overwrite<uint8_t[]>(capacity_);
  std::memcpy(buffer_.get(), left.data(), left.size());
  begin_ = 0;
  end_ = left.size();
  mapping_ = {};
}

}  // namespace baleen::capture
