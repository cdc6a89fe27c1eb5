#include "worker/shard.h"

#include <array>
#include <bit>

namespace baleen::worker {
namespace {

constexpr auto kHandedOverWithin = std::chrono::milliseconds(30);  // capture::AfPacketOptions::retire, and some more
constexpr auto kWait = std::chrono::milliseconds(100);
constexpr uint64_t kSettleEvery = 64 << 20;  // bytes of a file between two looks at whether the recorder keeps up

/// All of them are 64-bit counts, whatever is added to them.
void add_counts(dissect::EngineCounters& sum, const dissect::EngineCounters& counts) {
  static_assert(std::is_trivially_copyable_v<dissect::EngineCounters>);
  using Numbers = std::array<uint64_t, sizeof(dissect::EngineCounters) / sizeof(uint64_t)>;
  static_assert(sizeof(Numbers) == sizeof(dissect::EngineCounters));
  auto a = std::bit_cast<Numbers>(sum);
  const auto b = std::bit_cast<Numbers>(counts);
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  sum = std::bit_cast<dissect::EngineCounters>(a);
}

/// Packets are handed over some time after they came.
Timestamp caught_up_to(const capture::PacketBatch& batch) {
  return batch.size() == 0 ? now() - kHandedOverWithin : batch.packets().back().time;
}

script::PacketFacts facts_of(const net::Packet& packet) {
  script::PacketFacts facts;
  facts.time = packet.time;
  facts.capture_length = static_cast<uint32_t>(packet.bytes.size());
  facts.length = packet.wire_length;
  facts.truncated = packet.wire_length > packet.bytes.size();
  return facts;
}

}  // namespace

Worker::Shard::Shard(Worker& worker, size_t index, std::unique_ptr<capture::PacketSource> source,
                     std::unique_ptr<record::FlightRecorder> flight, const dissect::EngineOptions& options)
    : worker_(worker), index_(index), source_(std::move(source)), flight_(std::move(flight)), engine_(options, *this) {}

void Worker::Shard::start(script::ScriptFeed* feed) {
  feed_ = feed;
  thread_ = std::thread([this] { run(); });
}

void Worker::Shard::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::Shard::on_item(item::ItemRef item) {
  if (worker_.recorder_) {
    const auto lock = worker_.share_recorder();
    worker_.recorder_->offer(item);
  }
  if (feed_ != nullptr) feed_->offer(item);
  worker_.deliver(item);
}

void Worker::Shard::on_packet(dissect::StreamRef stream, const net::Packet& packet, const net::Decoded&) {
  if (flight_) flight_->append({stream.number, stream.kind}, packet);
}

void Worker::Shard::on_fragment(dissect::StreamRef stream, const net::Packet& packet) {
  if (flight_) flight_->append({stream.number, stream.kind}, packet);
}

void Worker::Shard::on_loose_packet(const net::Packet& packet) {
  if (flight_) flight_->append({record::kNoStream, item::StreamKind::kTcp}, packet);
}

void Worker::Shard::on_undissected(dissect::StreamRef stream) {
  if (!worker_.recorder_) return;
  const auto lock = worker_.share_recorder();
  worker_.recorder_->stream_undissected({stream.number, stream.kind});
}

void Worker::Shard::on_stream_end(dissect::StreamRef stream, dissect::StreamEnd) {
  if (!worker_.recorder_) return;
  const auto lock = worker_.share_recorder();
  worker_.recorder_->stream_ended(stream.number);
}

std::vector<record::InterfaceName> Worker::Shard::interfaces() {
  const std::lock_guard lock(numbers_mutex_);
  return interfaces_;
}

void Worker::Shard::add_to(WorkerStatus& status) {
  const std::lock_guard lock(numbers_mutex_);
  add_counts(status.engine, engine_numbers_);
  if (flight_) {
    status.flight.packets += flight_->packets();
    status.flight.overwritten += flight_->overwritten_packets();
    status.flight.refused += flight_->refused_packets();
    status.flight.bytes += flight_->bytes_on_disk();
  }
  status.capture.ring_full += source_numbers_.ring_full;
  status.capture.packets += source_numbers_.packets;
  status.capture.bytes += source_numbers_.bytes;
  status.capture.dropped_by_kernel += source_numbers_.dropped_by_kernel;
  status.capture.dropped_by_writer += source_numbers_.dropped_by_writer;
}

void Worker::Shard::run() {
  auto next_numbers = std::chrono::steady_clock::now();
  while (true) {
    if (worker_.recorder_) worker_.recorder_->at_batch(index_);
    {
      auto batch = source_->next_batch(kWait);
      if (!batch) {
        if (batch.error().retryable()) continue;
        const std::lock_guard lock(worker_.problems_mutex_);
        worker_.problems_.push_back(batch.error().message);
        break;
      }
      if (batch->state() == capture::PacketBatch::State::kEnd) break;
      take(*batch);
      if (worker_.recorder_ && !worker_.offline_) worker_.recorder_->caught_up(index_, caught_up_to(*batch));
    }
    if (!worker_.offline_) engine_.advance(now());
    if (std::chrono::steady_clock::now() < next_numbers) continue;
    publish_numbers();
    next_numbers = std::chrono::steady_clock::now() + kWait;
  }
  engine_.finish();
  publish_numbers();
  worker_.running_.fetch_sub(1);
}

void Worker::Shard::take(const capture::PacketBatch& batch) {
  const bool tell_scripts = feed_ != nullptr && worker_.scripts_->wants_packets();
  for (const net::Packet& packet : batch) {
    if (tell_scripts) feed_->offer(facts_of(packet));
    since_settled_ += packet.bytes.size();
  }
  engine_.on_batch(batch.packets(), batch.read_ahead());
  worker_.numbers_.packets.fetch_add(batch.size(), std::memory_order_relaxed);
  // A file can wait for the recorder; live packets cannot.
  if (worker_.offline_ && worker_.recorder_ && since_settled_ > kSettleEvery) {
    worker_.recorder_->settle();
    since_settled_ = 0;
  }
}

void Worker::Shard::publish_numbers() {
  const capture::Statistics source = source_->statistics();
  const auto& interfaces = source_->interfaces();
  std::vector<record::InterfaceName> names;
  if (worker_.recorder_ && interfaces.size() != interfaces_.size()) {
    for (const capture::Interface& i : interfaces) names.push_back({i.name, i.link});
    worker_.recorder_->set_interfaces(names);
  }
  const std::lock_guard lock(numbers_mutex_);
  if (!names.empty()) interfaces_ = std::move(names);
  worker_.numbers_.dropped_by_kernel.fetch_add(source.dropped_by_kernel - source_numbers_.dropped_by_kernel,
                                               std::memory_order_relaxed);
  source_numbers_ = source;
  engine_numbers_ = engine_.counters();
}

}  // namespace baleen::worker
