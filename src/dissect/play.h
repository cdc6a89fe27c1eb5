#pragma once

// Plays two byte streams to a session the way the engine does, and collects the items as lines of JSON. For the tests,
// fuzz targets and benchmarks of single dissectors, which need no packets.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dissect/dissector.h"
#include "item/json.h"

namespace baleen::dissect {

/// Finished items as text: outcome and payloads, without what the engine sets.
class Collected final : public Output {
 public:
  item::Item* begin(const item::Protocol& protocol) override {
    item::Item* item = pool_.take();
    item->protocol = &protocol;
    ++held_;
    return item;
  }
  uint64_t next_index() const override { return finished; }
  void finish(item::Item* item) override {
    --held_;
    ++finished;
    if (keep) {
      std::string line = std::to_string(static_cast<int>(item->outcome));
      const auto side = [&](const char* name, const item::Message& m) {
        if (!m.present) return;
        line += std::string(" ") + name + "[" + std::to_string(m.size) + "@" + std::to_string(to_ns(m.time)) + "]=";
        item::append_json(m.payload, line);
      };
      side("req", item->request);
      side("res", item->response);
      side("data", item->data);
      if (!item->error_message.empty()) line += " error=" + std::string(item->error_message);
      items.push_back(std::move(line));
    }
    pool_.give(item);
  }
  void drop(item::Item* item) override {
    --held_;
    pool_.give(item);
  }
  void count(Counter counter, uint64_t n) override { counters[static_cast<size_t>(counter)] += n; }
  const Settings& settings() const override { return limits; }
  const net::Endpoint& client() const override { return client_; }
  const net::Endpoint& server() const override { return server_; }
  bool saw_begin(Direction) const override { return true; }
  uint64_t counted(Counter c) const { return counters[static_cast<size_t>(c)]; }
  int held() const { return held_; }

  Settings limits;
  bool keep = true;
  uint64_t finished = 0;
  std::vector<std::string> items;
  std::array<uint64_t, static_cast<size_t>(Counter::kCount)> counters{};

 private:
  item::ItemPool pool_;
  net::Endpoint client_, server_;
  int held_ = 0;
};

/// One direction's bytes of a scripted conversation.
struct Said {
  Direction direction;
  std::string bytes;
};
inline Said c(std::string bytes) { return {Direction::kToServer, std::move(bytes)}; }
inline Said s(std::string bytes) { return {Direction::kToClient, std::move(bytes)}; }

/// Hands bytes to one session and obeys its steps.
class Player {
 public:
  Player(Session& session, Output& out) : session_(session), out_(out) {}

  /// Bytes arrive, cut into pieces of at most `piece`.
  void arrive(Direction d, std::string_view bytes, size_t piece = SIZE_MAX, Timestamp time = Timestamp{}) {
    for (size_t at = 0; at < bytes.size(); at += piece) {
      piece = std::min(piece, bytes.size() - at);
      sides_[static_cast<int>(d)].waiting += bytes.substr(at, piece);
      drain(d, time, false);
    }
  }
  void end(Direction d) { drain(d, Timestamp{}, true); }
  /// What waits and nobody knows how many bytes behind it are gone, as the engine says it.
  void lose(Direction d) {
    if (stopped_) return;
    Side& side = sides_[static_cast<int>(d)];
    side = {};
    side.lost = !session_.gap(d, 0, out_);
  }
  /// What the session last switched to; its bytes are no longer given to it.
  const std::string& switched_to() const { return switched_; }
  bool stopped() const { return stopped_; }
  uint64_t calls() const { return calls_; }
  uint64_t losses() const { return losses_; }
  size_t left_over(Direction d) const { return sides_[static_cast<int>(d)].waiting.size(); }

 private:
  struct Side {
    std::string waiting;
    uint64_t skip = 0, want = 0;
    bool lost = false;
  };

  void drain(Direction d, Timestamp time, bool end) {
    Side& side = sides_[static_cast<int>(d)];
    while (!stopped_) {
      const uint64_t over = std::min<uint64_t>(side.skip, side.waiting.size());
      side.waiting.erase(0, over);
      side.skip -= over;
      if (side.skip > 0 || (side.waiting.empty() && !end)) return;
      if (side.waiting.size() < side.want && !end) return;
      // A copy of its own, so that sanitizers see reads past the end.
      const std::vector<uint8_t> exact(side.waiting.begin(), side.waiting.end());
      const Input in{d, {exact.data(), exact.size()}, time, end};
      ++calls_;
      if (side.lost) {
        const Resync r = session_.resync(in);
        if (r.ruled_out > exact.size()) throw std::logic_error("resync ruled out bytes that are not there");
        side.waiting.erase(0, r.ruled_out);
        if (!r.found) return;
        side.lost = false;
        continue;
      }
      const Step step = session_.dissect(in, out_);
      side.want = 0;
      switch (step.kind) {
        case Step::Kind::kTook:
          if (step.bytes == 0 || step.bytes > exact.size()) throw std::logic_error("took what is not there");
          side.waiting.erase(0, step.bytes);
          break;
        case Step::Kind::kNeed:
          if (step.bytes != 0 && step.bytes <= exact.size()) throw std::logic_error("needs what is there");
          side.want = step.bytes;
          return;
        case Step::Kind::kSkip:
          if (step.bytes == 0) throw std::logic_error("skips nothing");
          side.skip = step.bytes;
          break;
        case Step::Kind::kLost:
          ++losses_;
          side.lost = true;
          break;
        case Step::Kind::kSwitch:
          side.waiting.erase(0, step.bytes);
          if (step.opening != nullptr) out_.finish(step.opening);
          switched_ = step.to;
          stopped_ = true;
          break;
        case Step::Kind::kDone: stopped_ = true; break;
      }
      if (end && side.waiting.empty()) return;
    }
  }

  Session& session_;
  Output& out_;
  Side sides_[2];
  std::string switched_;
  bool stopped_ = false;
  uint64_t calls_ = 0, losses_ = 0;
};

/// The items of a whole conversation, each turn cut into pieces of `piece` bytes.
template <class D>
std::vector<std::string> play(const std::vector<Said>& script, size_t piece = SIZE_MAX, Settings limits = {}) {
  Collected out;
  out.limits = limits;
  auto session = std::make_unique<D>();
  Player player(*session, out);
  int64_t t = 0;
  for (const Said& said : script) player.arrive(said.direction, said.bytes, piece, timestamp_from_ns(++t));
  session->close(false, out);
  session.reset();
  if (out.held() != 0) throw std::logic_error("items are neither finished nor dropped");
  return out.items;
}

/// A conversation as fuzz seeds keep it: a byte that chooses the cuts, then turns of direction (1 bit), length (15
/// bits) and bytes.
inline std::vector<Said> script_from(std::string_view seed) {
  std::vector<Said> script;
  for (size_t at = 1; at + 2 <= seed.size();) {
    const size_t head = size_t{static_cast<uint8_t>(seed[at])} << 8 | static_cast<uint8_t>(seed[at + 1]);
    at += 2;
    const std::string_view bytes = seed.substr(at, head & 0x7FFF);
    script.push_back({(head & 0x8000) != 0 ? Direction::kToClient : Direction::kToServer, std::string(bytes)});
    at += bytes.size();
  }
  return script;
}

/// Plays every seed of a protocol's corpus that has a golden `testdata/<seed>.items` and returns what differs, as text.
/// With BALEEN_UPDATE_GOLDENS set, writes the goldens instead.
template <class D>
std::string compare_goldens(const std::filesystem::path& folder) {
  std::string differences;
  size_t compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "corpus")) {
    const auto golden = folder / "testdata" / (entry.path().filename().string() + ".items");
    const bool update = std::getenv("BALEEN_UPDATE_GOLDENS") != nullptr;
    if (!update && !std::filesystem::exists(golden)) continue;
    const auto read = [](const std::filesystem::path& path) {
      std::ifstream in(path, std::ios::binary);
      return std::string{std::istreambuf_iterator<char>(in), {}};
    };
    std::string lines;
    for (const std::string& item : play<D>(script_from(read(entry.path())))) lines += item + "\n";
    if (update) std::ofstream(golden, std::ios::binary) << lines;
    if (read(golden) != lines) differences += golden.filename().string() + " is not\n" + lines;
    ++compared;
  }
  if (compared == 0) differences = "no goldens in " + folder.string();
  return differences;
}

}  // namespace baleen::dissect
