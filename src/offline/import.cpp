#include "offline/import.h"

#include <fmt/core.h>

#include <filesystem>
#include <map>
#include <unordered_map>

#include "capture/pcap_file/pcap_file.h"
#include "dissect/engine.h"
#include "item/json.h"
#include "offline/loose_blocks.h"

// The captures are read once for the items that match, and, when packets are asked for, once more for the packets of
// their streams: an engine numbers streams alike each time. So nothing is kept of what does not match, however large
// the captures are. Items and packets lie in blocks of their own, which belong to one run: readers look for a stream's
// packets in all blocks of the run.

namespace baleen::offline {
namespace {

constexpr item::Origin kOffline{"offline", "", ""};

class Pass : public dissect::EngineObserver {
 public:
  Pass(const ImportOptions& options, dissect::tls::KeyLog& key_log, LooseBlocks& blocks)
      : options_(options),
        key_log_(key_log),
        descriptors_(options.descriptors != nullptr ? *options.descriptors : own_descriptors_),
        blocks_(blocks) {}

  Result<> run(bool tell_packets, Imported& out) {
    capture::FileEvents events;
    events.on_secrets = [this](uint32_t type, Bytes secrets) {
      if (type == codec::pcap::kTlsKeyLog) key_log_.add(as_text(secrets));
    };
    BALEEN_TRY(const auto source,
               capture::PcapFileSource::open({.path = options_.path, .follow = false, .events = events}));
    dissect::EngineOptions engine_options;
    engine_options.protocols = options_.dissectors.protocols;
    engine_options.l4 = options_.dissectors.l4;
    engine_options.origin = &kOffline;
    engine_options.settings.key_log = &key_log_;
    engine_options.settings.descriptors = &descriptors_;
    engine_options.tell_packets = tell_packets;
    dissect::Engine engine(engine_options, *this);
    while (!failed_) {
      auto batch = source->next_batch(std::chrono::seconds(1));
      if (!batch) {
        out.problems.push_back(std::move(batch).error());
        break;
      }
      if (batch->state() == capture::PacketBatch::State::kEnd) break;
      engine.on_batch(batch->packets(), batch->read_ahead());
      out.packets += batch->size();
      if (options_.on_progress) options_.on_progress(engine.counters().bytes, items_);
      BALEEN_TRY_DO(between(*source, false));
    }
    engine.finish();
    if (failed_) return *failed_;
    BALEEN_TRY_DO(between(*source, true));
    out.bytes = engine.counters().bytes;
    for (const Error& problem : source->problems()) out.problems.push_back(problem);
    return {};
  }

 protected:
  Result<> between(capture::PacketSource& source, bool last) {
    std::vector<record::InterfaceName> names;
    for (const capture::Interface& one : source.interfaces()) names.push_back({one.name, one.link});
    return blocks_.close(names, last);
  }
  template <class T>
  void keep(const Result<T>& outcome) {
    if (!outcome && !failed_) failed_ = outcome.error();
  }

  const ImportOptions& options_;
  dissect::tls::KeyLog& key_log_;
  dissect::grpc::Descriptors own_descriptors_;
  dissect::grpc::Descriptors& descriptors_;
  LooseBlocks& blocks_;
  std::optional<Error> failed_;
  uint64_t items_ = 0;
};

/// What streams the items that match belong to, by the streams' numbers; and the TLS sessions that they came out of.
struct Wanted {
  std::unordered_map<uint64_t, std::string> names;
  std::unordered_map<uint64_t, std::string> randoms;
};

class ItemsPass final : public Pass {
 public:
  ItemsPass(const ImportOptions& options, dissect::tls::KeyLog& key_log, LooseBlocks& blocks, Wanted& wanted)
      : Pass(options, key_log, blocks), wanted_(wanted) {}
  void on_item(item::ItemRef item) override {
    if (failed_ || item->time() < options_.since || item->time() > options_.until || !options_.filter.matches(*item))
      return;
    const auto block = blocks_.open();
    keep(block);
    if (!block) return;
    const index::ItemRow row = index::row_from(*item);
    keep((*block)->add_row(row));
    ++items_;
    if (!options_.packets) return;
    wanted_.names.emplace(item->stream, row.stream);
    if (!item->tls_random.empty()) wanted_.randoms.emplace(item->stream, as_text(item->tls_random));
  }
  uint64_t items() const { return items_; }

 private:
  Wanted& wanted_;
};

class PacketsPass final : public Pass {
 public:
  PacketsPass(const ImportOptions& options, dissect::tls::KeyLog& key_log, LooseBlocks& blocks, const Wanted& wanted)
      : Pass(options, key_log, blocks), wanted_(wanted) {}
  void on_item(item::ItemRef) override {}
  void on_packet(dissect::StreamRef stream, const net::Packet& packet, const net::Decoded&) override {
    on_fragment(stream, packet);
  }
  void on_fragment(dissect::StreamRef stream, const net::Packet& packet) override {
    const auto name = wanted_.names.find(stream.number);
    if (name == wanted_.names.end() || failed_) return;
    const auto block = blocks_.open();
    keep(block);
    if (!block) return;
    if (const auto random = wanted_.randoms.find(stream.number); random != wanted_.randoms.end())
      if (const Bytes session = as_bytes(random->second); !(*block)->has_secrets(session))
        keep((*block)->add_secrets(session, key_log_.lines(session)));
    keep((*block)->add_packet(name->second,
                              {packet.time, packet.bytes, packet.wire_length, packet.interface, packet.link}));
  }

 private:
  const Wanted& wanted_;
};

}  // namespace

Result<Imported> import_captures(const ImportOptions& options) {
  Imported out;
  dissect::tls::KeyLog own;
  dissect::tls::KeyLog& key_log = options.key_log != nullptr ? *options.key_log : own;
  const std::string work = options.folder + "/making";
  std::error_code failed;
  std::filesystem::create_directories(work, failed);
  if (failed) return Error{Code::kIo, fmt::format("{}: {}", work, failed.message())};
  record::BlockOwner owner;
  owner.recording = kImported;
  owner.node = "offline";
  owner.run = "00000000";
  LooseBlocks blocks(work, owner, [&](const std::string& folder, const index::BlockRecord& record) {
    return move_into_folder(options.folder, folder, record);
  });
  Wanted wanted;
  {
    ItemsPass items(options, key_log, blocks, wanted);
    BALEEN_TRY_DO(items.run(false, out));
    out.items = items.items();
  }
  if (options.packets && !wanted.names.empty()) {
    Imported again;  // its problems are known
    PacketsPass packets(options, key_log, blocks, wanted);
    BALEEN_TRY_DO(packets.run(true, again));
  }
  return out;
}

}  // namespace baleen::offline
