#pragma once

// The law of work as a measurement: conversations are stretched and drip in, and what a session does with them is set
// against looking at each byte once, and against an eighth of the same. Work is the CPU time of this thread, which
// other programs hardly change; what they do change is far below the distance between linear and quadratic.

#include <algorithm>
#include <ctime>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "dissect/play.h"

namespace baleen::dissect {

constexpr size_t kBetweenLooks = 4096;  // bytes between two looks at the clock

/// Plays turns to a session in pieces, as the engine does: what is not used stays where it is, and nothing is copied or
/// looked at but by the session.
class DripPlayer {
 public:
  DripPlayer(Session& session, Output& out) : session_(session), out_(out) {}

  void arrive(Direction d, std::string_view bytes, size_t piece) {
    for (size_t at = 0; at < bytes.size() && !stopped_; at += piece) {
      sides_[static_cast<int>(d)].bytes += bytes.substr(at, piece);
      for (const Direction side : {d, opposite(d)}) drain(side);
    }
  }

 private:
  struct Side {
    std::string bytes;
    size_t used = 0;
    uint64_t skip = 0, need = 0;
    bool lost = false;
    size_t asked = 0;  // how many there were when it last answered kNeed
  };

  void drain(Direction d) {
    Side& side = sides_[static_cast<int>(d)];
    while (!stopped_) {
      const auto over = static_cast<size_t>(std::min<uint64_t>(side.skip, side.bytes.size() - side.used));
      side.used += over;
      side.skip -= over;
      const size_t there = side.bytes.size() - side.used;
      if (there == 0 || there < side.need || there == side.asked) return;
      if (!step(d, side)) return;
    }
  }

  bool step(Direction d, Side& side) {
    const Input in{d, as_bytes(side.bytes).subspan(side.used), Timestamp{}, false};
    side.asked = 0;
    if (side.lost) {
      const Resync r = session_.resync(in);
      side.used += r.ruled_out;
      side.lost = !r.found;
      side.asked = in.bytes.size() - r.ruled_out;
      return r.found;
    }
    const Step step = session_.dissect(in, out_);
    side.need = 0;
    switch (step.kind) {
      case Step::Kind::kTook: side.used += static_cast<size_t>(step.bytes); return step.bytes != 0;
      case Step::Kind::kNeed:
        side.need = std::min<uint64_t>(step.bytes, out_.settings().header_cap);
        side.asked = in.bytes.size();
        return false;
      case Step::Kind::kSkip: side.skip = step.bytes; return step.bytes != 0;
      case Step::Kind::kLost:
        side.lost = true;
        ++side.used;  // in the engine, too, when the same place is found again
        return true;
      case Step::Kind::kSwitch:
        if (step.opening != nullptr) out_.finish(step.opening);
        stopped_ = true;
        return false;
      case Step::Kind::kDone: stopped_ = true; return false;
    }
    return false;
  }

  Session& session_;
  Output& out_;
  Side sides_[2];
  bool stopped_ = false;
};

using MakeSession = std::function<std::unique_ptr<Session>()>;
/// A conversation of about so many bytes.
using Stretched = std::function<std::vector<Said>(size_t)>;

/// CPU seconds of this thread for one conversation in pieces of that size; not much more than `most` are waited for.
inline double work_of(const MakeSession& make, const std::vector<Said>& script, size_t piece, double most,
                      Collected& out) {
  const auto now = [] {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
  };
  const double before = now();
  const auto session = make();
  DripPlayer player(*session, out);
  for (const Said& said : script)
    for (size_t at = 0; at < said.bytes.size() && now() - before < most; at += kBetweenLooks)
      player.arrive(said.direction, std::string_view(said.bytes).substr(at, kBetweenLooks), piece);
  session->close(false, out);
  return now() - before;
}

/// Looks at every byte once, and makes nothing of it: what others are measured by.
class LooksOnce final : public Session {
 public:
  Step dissect(const Input& in, Output&) override {
    for (; looked_ < in.bytes.size(); ++looked_) sum_ = sum_ + in.bytes[looked_];
    return Step::need();
  }
  bool gap(Direction, uint64_t, Output&) override { return false; }
  Resync resync(const Input& in) override { return {in.bytes.size(), false}; }
  void expire(Timestamp, Output&) override {}
  void close(bool, Output&) override {}

 private:
  size_t looked_ = 0;
  volatile uint64_t sum_ = 0;
};

/// The CPU seconds of the least disturbed of several conversations.
inline double least_work_of(const MakeSession& make, const std::vector<Said>& script, size_t piece, int times,
                            Collected& out) {
  constexpr double kPatience = 10;  // seconds: nothing that is tested here takes so long
  double least = kPatience;
  while (times-- > 0) least = std::min(least, work_of(make, script, piece, kPatience, out));
  return least;
}

/// How a conversation breaks the law, as text; empty when it does not. Both must be: much more work than looking at
/// each byte once, and much more growth than the bytes'. Making items, and looks of bounded length at each byte, are no
/// breach.
inline std::string broken_by(const MakeSession& make, const Stretched& stretched) {
  constexpr size_t kShort = 6 << 10, kLong = 8 * kShort, kPiece = 8;
  constexpr double kMost = 200;   // times the work of looking once
  constexpr double kGrowth = 40;  // linear is 8, quadratic 64
  Collected out;                  // its pool grows with the first conversation only
  out.keep = false;
  out.limits.header_cap = 4 << 20;  // no limit cuts the work short
  static const double once =
      least_work_of([] { return std::make_unique<LooksOnce>(); }, {c(std::string(kLong, 'a'))}, kPiece, 5, out);
  const std::vector<Said> longer = stretched(kLong), shorter = stretched(kShort);
  if (least_work_of(make, longer, kPiece, 1, out) <= once * kMost) return {};
  const double many = least_work_of(make, longer, kPiece, 3, out), few = least_work_of(make, shorter, kPiece, 5, out);
  if (many <= once * kMost || many <= few * kGrowth) return {};
  return std::to_string(many / once) + " times the work of looking at each byte once, and " +
         std::to_string(many / few) + " times that for an eighth of the bytes";
}

/// A way to stretch a conversation, and what to call it.
struct Stretch {
  std::string name;
  Stretched make;
};

/// Ways to make a short conversation long: a message that never ends, from any place in it, with several fillings; a
/// length field that says so; and everything said again and again, turn by turn or one side first.
inline std::vector<Stretch> stretches_of(const std::vector<Said>& script) {
  std::vector<Stretch> out;
  const auto filled = [](std::string head, const std::string& unit, size_t size) {
    while (head.size() < size) head += unit;
    return head;
  };
  for (size_t turn = 0; turn < std::min<size_t>(script.size(), 4); ++turn) {
    const std::vector<Said> before(script.begin(), script.begin() + static_cast<std::ptrdiff_t>(turn));
    const Said& said = script[turn];
    const auto add = [&](const std::string& what, const std::function<std::string(size_t)>& bytes) {
      out.push_back({"turn " + std::to_string(turn) + ", " + what, [=](size_t size) {
                       std::vector<Said> longer = before;
                       longer.push_back({said.direction, bytes(size)});
                       return longer;
                     }});
    };
    const size_t stride = std::max<size_t>(1, said.bytes.size() / 4);
    for (size_t cut = 1; cut <= said.bytes.size(); cut += stride) {
      const std::string head = said.bytes.substr(0, cut);
      const std::string tail = head.substr(head.size() - std::min<size_t>(head.size(), 12));
      for (const std::string& unit : {std::string("a"), std::string(1, '\0'), std::string("\r\n "), tail})
        add("cut at " + std::to_string(cut), [=](size_t size) { return filled(head, unit, size); });
    }
    for (size_t at = 0; at + 4 <= std::min<size_t>(said.bytes.size(), 8); ++at)
      add("length at " + std::to_string(at), [=](size_t size) {
        std::string bytes = said.bytes;
        for (size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(size >> (24 - 8 * i));
        return filled(std::move(bytes), "a", size);
      });
  }
  const size_t once = [&] {
    size_t bytes = 1;
    for (const Said& said : script) bytes += said.bytes.size();
    return bytes;
  }();
  out.push_back({"again and again", [=](size_t size) {
                   std::vector<Said> longer;
                   for (size_t n = 0; n < size; n += once) longer.insert(longer.end(), script.begin(), script.end());
                   return longer;
                 }});
  out.push_back({"questions first", [=](size_t size) {
                   std::vector<Said> longer{c(""), s("")};
                   for (size_t n = 0; n < size; n += once)
                     for (const Said& said : script) longer[static_cast<size_t>(said.direction)].bytes += said.bytes;
                   return longer;
                 }});
  return out;
}

/// The first thing that breaks the law of work, as text; empty when nothing does.
inline std::string broken_law_of_work(const MakeSession& make, const std::vector<Said>& script) {
  for (const Stretch& stretch : stretches_of(script))
    if (const std::string how = broken_by(make, stretch.make); !how.empty()) return stretch.name + ": " + how;
  return {};
}

}  // namespace baleen::dissect
