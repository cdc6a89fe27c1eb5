#include "capture/pcap_file/capture_file.h"

#include <algorithm>
#include <cstring>

namespace baleen::capture {

namespace {

constexpr size_t kRecordsAtOnce = 256;  // with their 72 bytes each they stay in the first-level cache

}  // namespace

CaptureFile::CaptureFile(InputFile input, std::string path, size_t buffer_bytes, const FileEvents* events)
    : input_(std::move(input)),
      path_(std::move(path)),
      events_(events),
      records_(kRecordsAtOnce),
      buffer_(std::make_unique_for_overwrite<uint8_t[]>(buffer_bytes)),
      capacity_(buffer_bytes) {}

Result<CaptureFile> CaptureFile::open(const std::string& path, bool follow, size_t buffer_bytes,
                                      const FileEvents* events) {
  BALEEN_TRY(InputFile input, InputFile::open(path, follow));
  return CaptureFile(std::move(input), path, buffer_bytes, events);
}

Result<CaptureFile::State> CaptureFile::advance() {
  using Kind = codec::pcap::Reader::Kind;
  for (;;) {
    const Bytes window{buffer_.get() + begin_, end_ - begin_};
    const auto step = reader_.read(window, records_);
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
    if (auto finished = reader_.finish({buffer_.get() + begin_, end_ - begin_}); !finished)
      return std::move(finished).error().in(path_);
    begin_ = end_;
    return State::kEnd;
  }
}

/// Reads behind what is left of the window, which has to hold `need` bytes in the end. False: nothing more came.
Result<bool> CaptureFile::fill(size_t need) {
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

}  // namespace baleen::capture
