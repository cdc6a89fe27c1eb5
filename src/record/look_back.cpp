#include "record/look_back.h"

#include <unordered_map>

namespace baleen::record {
namespace {

constexpr size_t kAtOnce = 256 << 10;

/// Gives the engine's streams their old numbers.
class Listener final : public dissect::EngineObserver {
 public:
  Listener(const kfl::Filter& filter, const std::function<void(const item::ItemRef&)>& each)
      : filter_(filter), each_(each) {}

  void set_packet(StreamKey stream) { packet_of_ = stream.number; }
  void stop_listening() { over_ = true; }
  uint64_t items() const { return items_; }

  void on_packet(dissect::StreamRef stream, const net::Packet&, const net::Decoded&) override {
    numbers_[stream.number] = packet_of_;
  }
  void on_item(item::ItemRef item) override {
    if (over_) return;
    const auto number = numbers_.find(item->stream);
    if (number == numbers_.end() || number->second == kNoStream) return;
    // Nobody else has it yet but the engine, whose thread this is.
    const_cast<item::Item&>(*item).stream = number->second;
    if (!filter_.matches(*item)) return;
    ++items_;
    each_(item);
  }
  void on_stream_end(dissect::StreamRef stream, dissect::StreamEnd) override { numbers_.erase(stream.number); }

 private:
  const kfl::Filter& filter_;
  const std::function<void(const item::ItemRef&)>& each_;
  std::unordered_map<uint64_t, uint64_t> numbers_;  // bounded by the engine's flows
  uint64_t packet_of_ = kNoStream;
  uint64_t items_ = 0;
  bool over_ = false;
};

}  // namespace

LookedBack look_back(const LookBack& what, const std::atomic<bool>& stop,
                     const std::function<void(const item::ItemRef&)>& each, const std::function<void()>& let_go) {
  LookedBack done;
  for (const LookBack::Stretch& stretch : what.stretches) {
    Listener listener(what.filter, each);
    dissect::EngineOptions options = what.engine;
    options.tell_packets = true;
    options.first_stream = 0;
    options.stream_step = 1;
    dissect::Engine engine(options, listener);
    Timestamp newest = what.since;
    for (Place place = stretch.begin; place.position < stretch.end.position && !stop;) {
      const Place before = place;
      done.overwritten +=
          stretch.flight->read_on(place, stretch.end, kAtOnce, [&](StreamKey stream, const RecordedPacket& p) {
            if (p.time < what.since) return;
            newest = std::max(newest, p.time);
            listener.set_packet(stream);
            engine.on_packet({p.time, p.bytes, p.wire_length, p.interface, p.link});
            ++done.packets;
          });
      if (place == before) break;
    }
    engine.advance(newest);
    listener.stop_listening();  // the engine's end would finish what goes on
    done.items += listener.items();
    let_go();  // they are the engine's
  }
  return done;
}

}  // namespace baleen::record
