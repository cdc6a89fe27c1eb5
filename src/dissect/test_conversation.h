#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "dissect/dissector.h"

namespace baleen::dissect {

/// One conversation driven by hand, for a dissector's own table tests: what the stream engine does with a session,
/// without packets. Bytes are handed over in blocks of their own, so that a sanitizer sees every read past their end.
class TestConversation final : public Output {
  item::ItemPool pool_;  // outlives what was made of it

 public:
  explicit TestConversation(const ProtocolEntry& entry) : session_(entry.make()) {}
  ~TestConversation() { close(); }

  Settings settings_value;
  net::Endpoint client_end, server_end;
  std::vector<item::ItemRef> items;
  std::vector<std::string> switched;  // what the session handed over to
  uint64_t counters[static_cast<size_t>(Counter::kCount)] = {};
  size_t open = 0;  // items begun and neither finished nor dropped

  uint64_t counted(Counter c) const { return counters[static_cast<size_t>(c)]; }
  void to_server(std::string_view bytes) { feed(Direction::kToServer, bytes); }
  void to_client(std::string_view bytes) { feed(Direction::kToClient, bytes); }

  void feed(Direction d, std::string_view bytes) {
    Side& side = sides_[static_cast<size_t>(d)];
    const uint64_t skipped = std::min<uint64_t>(side.skip, bytes.size());
    side.skip -= skipped;
    side.bytes += bytes.substr(skipped);
    now_ += std::chrono::microseconds(1);
    pump();
  }
  void lose(Direction d, uint64_t bytes) {
    Side& side = sides_[static_cast<size_t>(d)];
    if (!side.bytes.empty() && !side.lost) session_->cut_off({d, as_bytes(side.bytes), now_, false, false, 1}, *this);
    side.bytes.clear();
    side.need = 0;
    side.lost = !session_->gap(d, bytes, *this);
  }
  void end(Direction d) {
    sides_[static_cast<size_t>(d)].ended = true;
    sides_[static_cast<size_t>(d)].need = 0;
    pump();
  }
  void expire_all() { session_->expire(now_ + std::chrono::hours(1), *this); }
  void close(bool reset = false) {
    if (session_ == nullptr) return;
    if (switched.empty()) session_->close(reset, *this);
    session_.reset();
  }
  const item::Item& item(size_t i) const { return *items.at(i); }
  bool joined_in_the_middle = false;

  item::Item* begin(const item::Protocol& protocol) override {
    item::Item* item = pool_.take();
    item->protocol = &protocol;
    ++open;
    return item;
  }
  uint64_t next_index() const override { return items.size(); }
  void wake(Direction d) override { sides_[static_cast<size_t>(d)].need = 0; }
  bool saw_begin(Direction) const override { return !joined_in_the_middle; }
  void finish(item::Item* item) override {
    item->index = items.size();
    items.emplace_back(item);
    --open;
  }
  void drop(item::Item* item) override {
    pool_.give(item);
    --open;
  }
  void count(Counter counter, uint64_t n) override { counters[static_cast<size_t>(counter)] += n; }
  const Settings& settings() const override { return settings_value; }
  const net::Endpoint& client() const override { return client_end; }
  const net::Endpoint& server() const override { return server_end; }

 private:
  struct Side {
    std::string bytes;
    uint64_t skip = 0, need = 0;
    bool ended = false, told = false, lost = false;
  };

  void pump() {
    for (bool moved = true; moved && !done_;) {
      moved = false;
      for (const Direction d : {Direction::kToServer, Direction::kToClient}) {
        while (step(d)) moved = true;
        if (done_) return;
      }
      // What one direction waited for may have come in the other.
      if (moved)
        for (Side& side : sides_) side.need = 0;
    }
  }

  bool step(Direction d) {
    Side& side = sides_[static_cast<size_t>(d)];
    if (done_ || (side.bytes.empty() && (!side.ended || side.told))) return false;
    if (side.bytes.size() < side.need && !side.ended) return false;
    const std::unique_ptr<char[]> exact(new char[side.bytes.size()]);
    std::copy(side.bytes.begin(), side.bytes.end(), exact.get());
    const Input in{d, as_bytes({exact.get(), side.bytes.size()}), now_, side.ended};
    if (side.lost) {
      const Resync r = session_->resync(in);
      side.bytes.erase(0, r.ruled_out);
      side.lost = !r.found;
      return r.found;
    }
    const bool was_told = std::exchange(side.told, side.ended);
    const Step s = session_->dissect(in, *this);
    switch (s.kind) {
      case Step::Kind::kTook: return side.bytes.erase(0, s.bytes), side.need = 0, s.bytes > 0 || !was_told;
      case Step::Kind::kNeed: return side.need = std::max<uint64_t>(s.bytes, side.bytes.size() + 1), false;
      case Step::Kind::kSkip: {
        const uint64_t here = std::min<uint64_t>(s.bytes, side.bytes.size());
        side.bytes.erase(0, here);
        side.skip = s.bytes - here;
        return true;
      }
      case Step::Kind::kLost: {
        count(Counter::kResyncs, 1);
        side.lost = true;
        return true;
      }
      case Step::Kind::kSwitch:
        if (s.opening != nullptr) finish(s.opening);
        switched.emplace_back(s.to);
        done_ = true;
        return false;
      case Step::Kind::kDone: return done_ = true, false;
    }
    return false;
  }

  std::unique_ptr<Session> session_;
  Side sides_[2];
  Timestamp now_ = timestamp_from_ns(1'700'000'000'000'000'000);
  bool done_ = false;
};

}  // namespace baleen::dissect
