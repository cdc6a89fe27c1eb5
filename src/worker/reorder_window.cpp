#include "worker/reorder_window.h"

#include <algorithm>
#include <cstring>

#include "worker/dump_frames.h"

namespace baleen::worker {
namespace {

constexpr size_t kSpare = 1024;

}  // namespace

void ReorderWindow::push(std::string_view record) {
  DumpRecord head;
  std::memcpy(&head, record.data(), sizeof head);
  std::string copy;
  if (!spare_.empty()) {
    copy = std::move(spare_.back());
    spare_.pop_back();
  }
  copy.assign(record);
  bytes_ += copy.size();
  newest_ns_ = std::max(newest_ns_, head.time_ns);
  held_.push_back({head.time_ns, next_++, std::move(copy)});
  std::push_heap(held_.begin(), held_.end());
}

void ReorderWindow::pop(std::string& out) {
  std::pop_heap(held_.begin(), held_.end());
  std::string& record = held_.back().record;
  out += record;
  bytes_ -= record.size();
  if (spare_.size() < kSpare) spare_.push_back(std::move(record));
  held_.pop_back();
}

void ReorderWindow::release(std::string& out) {
  while (!held_.empty() && (newest_ns_ - held_.front().time_ns >= window_ns_ || bytes_ > most_bytes_)) pop(out);
}

void ReorderWindow::release_older(int64_t now_ns, std::string& out) {
  while (!held_.empty() && now_ns - held_.front().time_ns >= window_ns_) pop(out);
}

void ReorderWindow::drain(std::string& out) {
  while (!held_.empty()) pop(out);
}

}  // namespace baleen::worker
