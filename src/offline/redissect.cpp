#include "offline/redissect.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <unordered_map>

#include "dissect/engine.h"
#include "index/recording_reader.h"
#include "item/json.h"
#include "offline/block_packets.h"
#include "record/item_block.h"

// Each run of a node is one history of packets, whose streams were numbered once. Its blocks are merged by time, as
// streams of different ages lie side by side in them: a block is loaded when its first time has come and goes when its
// last packet has been fed, so what is in memory are the blocks that overlap. The engine numbers flows anew; as packets
// are fed one by one, each flow learns from its packets what the stream was called. Items keep that name, and what the
// old items say of the ends (pods, services, processes), which nobody can find out any more.

namespace baleen::offline {
namespace {

namespace fs = std::filesystem;
using index::BlockRecord;
using record::ItemBlock;

constexpr size_t kOpenBlocks = 4;  // that have been fed and wait for items that come late

std::string run_of(const BlockRecord& block) { return block.node + "/" + block.run; }

/// What is known of a run from its old items. Outlives the run's engine.
struct Known {
  std::string worker, node_name, node_ip;
  std::unordered_map<std::string, std::pair<std::string, std::string>> ends;  // by stream: src and dst as JSON
};

/// "000000000042_udp.pcap" taken apart (see item::write_stream_name).
bool read_stream_name(std::string_view name, uint64_t& number, item::StreamKind& kind) {
  const auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (ec != std::errc()) return false;
  char buffer[32];
  for (const auto k :
       {item::StreamKind::kTcp, item::StreamKind::kUdp, item::StreamKind::kTls, item::StreamKind::kDns}) {
    kind = k;
    if (name == std::string_view(buffer, item::write_stream_name(number, k, buffer))) return true;
  }
  return false;
}

item::ResolvedBy resolved_by(std::string_view text) {
  static constexpr std::array<std::string_view, 9> kNames = {
      "none", "ip", "ip-and-port", "dns", "http-header", "cgroup-id", "container-id", "syscall", "sidecar-proxy"};
  const auto found = std::find(kNames.begin(), kNames.end(), text);
  return found == kNames.end() ? item::ResolvedBy::kNone : static_cast<item::ResolvedBy>(found - kNames.begin());
}

/// Puts what an old item says of an end into a new one.
void name_end(item::ResolvedEndpoint& end, const std::string& text, Arena& arena) {
  const auto root = item::parse_json(text, arena);
  if (!root) return;
  const item::Value& e = *root;
  end.name = e["name"].text();
  end.name_space = e["namespace"].text();
  end.pod_object = e["pod"];
  end.pod = end.pod_object["metadata"]["name"].text();
  end.service_object = e["service"];
  end.service = end.service_object["metadata"]["name"].text();
  end.endpoint_slice = e["endpointSlice"];
  end.node = e["node"].text();
  end.cgroup_id = static_cast<uint64_t>(e["cgroupId"].as_int());
  end.container_id = e["containerId"].text();
  end.process_id = static_cast<uint32_t>(e["processId"].as_int());
  end.process = e["processName"].text();
  end.by = resolved_by(e["resolutionMechanism"].text());
}

class Run final : public dissect::EngineObserver {
 public:
  using Publish = std::function<Result<>(ItemBlock& writer, const std::string& folder, const std::string& old_packets)>;
  Run(const RedissectOptions& options, index::RecordingReader& reader, dissect::tls::KeyLog& key_log,
      const Known& known, std::vector<BlockRecord> blocks, Redissected& out, Publish publish)
      : options_(options),
        reader_(reader),
        key_log_(key_log),
        known_(known),
        origin_{known.worker, known.node_name, known.node_ip},
        out_(out),
        publish_(std::move(publish)) {
    std::sort(blocks.begin(), blocks.end(), [](const BlockRecord& a, const BlockRecord& b) {
      return std::tie(a.first, a.block) < std::tie(b.first, b.block);
    });
    for (BlockRecord& block : blocks) blocks_.push_back({std::move(block)});
  }

  Result<> run() {
    dissect::EngineOptions engine_options;
    engine_options.protocols = options_.dissectors.protocols;
    engine_options.l4 = options_.dissectors.l4;
    engine_options.origin = &origin_;
    engine_options.settings.key_log = &key_log_;
    engine_options.settings.descriptors = options_.descriptors != nullptr ? options_.descriptors : &own_descriptors_;
    engine_options.tell_packets = true;
    dissect::Engine engine(engine_options, *this);
    while (true) {
      BALEEN_TRY_DO(load_what_begins());
      Block* const block = earliest();
      if (block == nullptr) break;
      const BlockPackets::Packet& packet = block->packets->front();
      feeding_ = block;
      const codec::pcap::PacketRecord& r = packet.record;
      engine.on_packet({r.time, r.bytes, r.wire_length, r.interface, static_cast<net::LinkType>(r.link)});
      ++out_.packets;
      block->packets->pop();
      if (failed_) return *failed_;
      if (block->packets->over()) BALEEN_TRY_DO(end(*block));
    }
    engine.finish();
    if (failed_) return *failed_;
    for (Block& block : blocks_) BALEEN_TRY_DO(publish(block));
    return {};
  }

  void on_packet(dissect::StreamRef stream, const net::Packet&, const net::Decoded&) override {
    const index::StreamPlace& place = feeding_->record.streams[feeding_->packets->front().stream];
    Flow& flow = flows_[stream.number];
    flow.block = feeding_;
    if (flow.name != place.stream) flow.name = place.stream;
  }

  void on_item(item::ItemRef ref) override {
    const auto flow = flows_.find(ref->stream);
    item::Item* const item = ref.sole();
    if (failed_ || flow == flows_.end() || item == nullptr) return;
    const std::string& name = flow->second.name;
    if (!read_stream_name(name, item->stream, item->stream_kind)) return;
    item->index = next_index_[name]++;
    if (const auto ends = known_.ends.find(name); ends != known_.ends.end()) {
      name_end(item->client, ends->second.first, item->arena);
      name_end(item->server, ends->second.second, item->arena);
    }
    Block* block = flow->second.block;
    if (block->writer == nullptr) block = newest_;  // that one has been published
    if (!is_wanted(*item, flow->second.block->record.filter)) return;
    if (const auto added = block->writer->add(*item); !added) failed_ = added.error();
    ++out_.items;
  }

 private:
  struct Block {
    BlockRecord record;
    std::unique_ptr<BlockPackets> packets{};  // while they are fed
    std::unique_ptr<ItemBlock> writer{};      // until it is published
    std::string folder{};
  };
  struct Flow {
    std::string name;
    Block* block = nullptr;  // of its last packet
  };

  Block* earliest() {
    Block* out = nullptr;
    for (Block* block : loaded_)
      if (out == nullptr || block->packets->front().time_ns < out->packets->front().time_ns) out = block;
    return out;
  }

  Result<> load_what_begins() {
    while (next_ < blocks_.size()) {
      const Block* const first = earliest();
      if (first != nullptr && to_ns(blocks_[next_].record.first) > first->packets->front().time_ns) return {};
      BALEEN_TRY_DO(load(blocks_[next_++]));
    }
    return {};
  }

  Result<> load(Block& block) {
    if (options_.on_progress) options_.on_progress(out_.blocks, blocks_.size());
    std::optional<index::BlockKey> key;
    if (block.record.items_object.encryption) {
      if (!options_.keys) return Error{Code::kDenied, block.record.block + ": its items are encrypted: give the key"};
      BALEEN_TRY(const io::Key256 unwrapped, options_.keys->unwrap(block.record.encryption));
      key = index::BlockKey{unwrapped, block.record.encryption};
    }
    BlockRecord other = block.record;
    if (options_.copy_packets)
      other.packets_object.key = index::block_keys(options_.name, other.first, other.block).packets;
    block.folder = fmt::format("{}/{:08}", options_.work, serial_++);
    std::error_code failed;
    if (!fs::create_directories(block.folder, failed))
      return Error{Code::kIo, fmt::format("{}: {}", block.folder, failed.message())};
    BALEEN_TRY(block.writer,
               ItemBlock::create(block.folder, options_.name,
                                 options_.filter ? std::string(options_.filter->text()) : block.record.filter, other,
                                 std::move(key)));
    newest_ = &block;
    auto packets = BlockPackets::load(reader_, block.record, [this](Bytes secrets) { key_log_.add(as_text(secrets)); });
    if (!packets) {
      if (packets.error().retryable() || packets.error().code == Code::kDenied) return packets.error();
      out_.problems.push_back(std::move(packets).error().in(block.record.packets_object.key));
    } else if (!(*packets)->over()) {
      block.packets = *std::move(packets);
      loaded_.push_back(&block);
      return {};
    }
    return end(block);
  }

  /// All of the block's packets have been fed.
  Result<> end(Block& block) {
    std::erase(loaded_, &block);
    block.packets.reset();
    fed_.push_back(&block);
    while (fed_.size() > kOpenBlocks) {
      Block* const oldest = fed_.front();
      fed_.pop_front();
      if (oldest == newest_) continue;  // what comes late must go somewhere
      BALEEN_TRY_DO(publish(*oldest));
    }
    return {};
  }

  Result<> publish(Block& block) {
    if (!block.writer) return {};
    BALEEN_TRY_DO(publish_(*block.writer, block.folder, block.record.packets_object.key));
    block.writer.reset();
    std::error_code ignored;
    fs::remove_all(block.folder, ignored);
    ++out_.blocks;
    return {};
  }

  bool is_wanted(const item::Item& item, const std::string& pattern) {
    if (options_.filter) return options_.filter->matches(item);
    auto [known, fresh] = patterns_.try_emplace(pattern);
    if (fresh && options_.compile) known->second = options_.compile(pattern);
    return !known->second || known->second->matches(item);  // one that does not compile any more selects all
  }

  const RedissectOptions& options_;
  index::RecordingReader& reader_;
  dissect::tls::KeyLog& key_log_;
  dissect::grpc::Descriptors own_descriptors_;
  const Known& known_;
  item::Origin origin_;
  Redissected& out_;
  Publish publish_;
  std::deque<Block> blocks_;
  size_t next_ = 0, serial_ = 0;
  std::vector<Block*> loaded_;
  std::deque<Block*> fed_;
  Block *feeding_ = nullptr, *newest_ = nullptr;
  std::unordered_map<uint64_t, Flow> flows_;              // by the engine's number
  std::unordered_map<std::string, uint64_t> next_index_;  // by stream
  std::map<std::string, std::optional<kfl::Filter>> patterns_;
  std::optional<Error> failed_;
};

class Redissection {
 public:
  Redissection(store::ObjectStore& from, store::ObjectStore& to, const RedissectOptions& options)
      : from_(from),
        to_(to),
        options_(options),
        reader_(from, options.prefix),
        key_log_(options.key_log != nullptr ? *options.key_log : own_) {
    reader_.set_keys(options.keys);
  }

  Result<Redissected> run() {
    BALEEN_TRY_DO(check_name());
    index::ReadQuery query;
    query.recording = options_.recording;
    BALEEN_TRY(std::vector<BlockRecord> blocks, reader_.records(query));
    if (blocks.empty()) return Error{Code::kNotFound, fmt::format("there is no recording '{}'", options_.recording)};
    std::map<std::string, std::vector<BlockRecord>> runs;
    std::map<std::string, std::string> run_of_block;
    for (BlockRecord& block : blocks) {
      out_.old_items += block.items;
      run_of_block[block.block] = run_of(block);
      runs[run_of(block)].push_back(std::move(block));
    }
    BALEEN_TRY_DO(look_at_old_items(query, run_of_block));
    for (auto& [name, of_run] : runs) {
      Run run(options_, reader_, key_log_, known_[name], std::move(of_run), out_,
              [this](ItemBlock& writer, const std::string& folder, const std::string& old_packets) {
                return publish(writer, folder, old_packets);
              });
      BALEEN_TRY_DO(run.run());
    }
    for (const Error& problem : reader_.problems()) out_.problems.push_back(problem);
    return std::move(out_);
  }

 private:
  Result<> check_name() {
    store::ListOptions list;
    list.prefix = options_.to_prefix + "recording=" + options_.name + "/";
    list.page_size = 1;
    BALEEN_TRY(const store::ListPage page, to_.list(list));
    if (page.objects.empty()) return {};
    return Error{Code::kConflict, fmt::format("there is a recording '{}' already: choose another name", options_.name)};
  }

  Result<> look_at_old_items(const index::ReadQuery& query, const std::map<std::string, std::string>& run_of_block) {
    static const std::vector<std::string> kPaths = {"worker", "node", "src", "dst"};
    const item::JsonFields fields(kPaths);
    Arena arena;
    return reader_.items(query, [&](const index::StoredItem& stored) {
      arena.clear();
      const auto root = item::parse_json(stored.json, arena, fields);
      const auto run = run_of_block.find(fs::path(stored.block).stem().string());
      if (!root || run == run_of_block.end()) return true;
      Known& known = known_[run->second];
      if (known.worker.empty()) {
        known.worker = (*root)["worker"].text();
        known.node_name = (*root)["node"]["name"].text();
        known.node_ip = (*root)["node"]["ip"].text();
      }
      const auto is_named = [&](const char* side) {
        const item::Value end = (*root)[side];
        return !end["name"].text().empty() || !end["processName"].text().empty() || !end["pod"].is_null();
      };
      if (!(is_named("src") || is_named("dst")) || known.ends.contains(stored.stream)) return true;
      auto& [src, dst] = known.ends[stored.stream];
      item::append_json((*root)["src"], src);
      item::append_json((*root)["dst"], dst);
      return true;
    });
  }

  Result<> publish(ItemBlock& writer, const std::string& folder, const std::string& old_packets) {
    BALEEN_TRY(const BlockRecord record, writer.finish());
    const auto put = [&](const std::string& key, const std::string& path, uint32_t crc32c,
                         const char* type) -> Result<> {
      store::PutOptions put_options;
      put_options.only_if_absent = true;
      put_options.content_type = type;
      put_options.crc32c = crc32c;
      auto done = to_.put_file(options_.to_prefix + key, path, put_options);
      return done ? Result<>() : Result<>(std::move(done).error().in(key));
    };
    if (options_.copy_packets) {
      BALEEN_TRY_DO(fetch_packets(old_packets, record.packets_object.size, folder + "/copy"));
      BALEEN_TRY_DO(
          put(record.packets_object.key, folder + "/copy", record.packets_object.crc32c, "application/x-pcapng"));
    }
    BALEEN_TRY_DO(put(record.items_object.key, writer.items_path(), record.items_object.crc32c,
                      "application/vnd.apache.parquet"));
    store::PutOptions last;
    last.only_if_absent = true;
    last.content_type = "application/json";
    const std::string text = record.to_json();
    // In the folder of the same hour as its items.
    std::string key = record.items_object.key;
    key.replace(key.rfind("/items/"), 7, "/blocks/");
    key.replace(key.rfind('.'), std::string::npos, ".json");
    if (auto done = to_.put(options_.to_prefix + key, as_bytes(text), last); !done)
      return std::move(done).error().in(key);
    return {};
  }

  Result<> fetch_packets(const std::string& key, uint64_t size, const std::string& path) {
    constexpr uint64_t kPiece = 32 << 20;
    std::ofstream out(path, std::ios::binary);
    for (uint64_t at = 0; at < size; at += kPiece) {
      BALEEN_TRY(const std::string bytes, from_.get_range(options_.prefix + key, at, std::min(kPiece, size - at)));
      out << bytes;
    }
    out.close();
    return out ? Result<>() : Result<>(Error{Code::kIo, path + ": cannot be written: is the disk full?"});
  }

  store::ObjectStore& from_;
  store::ObjectStore& to_;
  const RedissectOptions& options_;
  index::RecordingReader reader_;
  dissect::tls::KeyLog own_;
  dissect::tls::KeyLog& key_log_;
  std::map<std::string, Known> known_;
  Redissected out_;
};

}  // namespace

Result<Redissected> redissect(store::ObjectStore& from, store::ObjectStore& to, const RedissectOptions& options) {
  return Redissection(from, to, options).run();
}

}  // namespace baleen::offline
