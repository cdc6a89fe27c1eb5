#pragma once

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "worker/worker.h"

namespace baleen::worker {

/// One capture thread with all that belongs to its packets.
class Worker::Shard final : public dissect::EngineObserver {
 public:
  Shard(Worker& worker, size_t index, std::unique_ptr<capture::PacketSource> source,
        std::unique_ptr<record::FlightRecorder> flight, const dissect::EngineOptions& options);

  const record::FlightRecorder* flight() const { return flight_.get(); }
  /// `feed` may be null; it outlives the thread.
  void start(script::ScriptFeed* feed);
  void stop() { source_->stop(); }
  void join();

  // The engine's, on the shard's thread.
  void on_item(item::ItemRef item) override;
  void on_packet(dissect::StreamRef stream, const net::Packet& packet, const net::Decoded&) override;
  void on_fragment(dissect::StreamRef stream, const net::Packet& packet) override;
  void on_loose_packet(const net::Packet& packet) override;
  void on_undissected(dissect::StreamRef stream) override;
  void on_stream_end(dissect::StreamRef stream, dissect::StreamEnd) override;

  /// Any thread.
  std::vector<record::InterfaceName> interfaces();
  /// Adds this shard's numbers. Any thread.
  void add_to(WorkerStatus& status);

 private:
  void run();
  void take(const capture::PacketBatch& batch);
  void publish_numbers();

  Worker& worker_;
  size_t index_;
  std::unique_ptr<capture::PacketSource> source_;
  std::unique_ptr<record::FlightRecorder> flight_;
  script::ScriptFeed* feed_ = nullptr;
  dissect::Engine engine_;
  uint64_t since_settled_ = 0;
  std::mutex numbers_mutex_;
  std::vector<record::InterfaceName> interfaces_;
  capture::Statistics source_numbers_;
  dissect::EngineCounters engine_numbers_;
  std::thread thread_;
};

}  // namespace baleen::worker
