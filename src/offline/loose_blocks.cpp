#include "offline/loose_blocks.h"

#include <fmt/core.h>

#include <filesystem>

namespace baleen::offline {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kBlockBytes = 64 << 20;  // of packets, or of items

}  // namespace

LooseBlocks::LooseBlocks(std::string folder, record::BlockOwner owner, Publish publish)
    : folder_(std::move(folder)), owner_(std::move(owner)), publish_(std::move(publish)) {}

Result<record::BlockWriter*> LooseBlocks::open() {
  if (!block_) {
    BALEEN_TRY(block_, record::BlockWriter::create(fmt::format("{}/block-{:06}", folder_, owner_.sequence), owner_));
    ++owner_.sequence;
  }
  return block_.get();
}

Result<> LooseBlocks::close(const std::vector<record::InterfaceName>& interfaces, bool anyway) {
  if (!block_) return {};
  if (!anyway && block_->packet_bytes() < kBlockBytes && block_->item_bytes() < kBlockBytes) return {};
  const std::string folder = block_->folder();
  BALEEN_TRY(const index::BlockRecord record, block_->finish(interfaces, {}));
  block_.reset();
  BALEEN_TRY_DO(publish_(folder, record));
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return {};
}

Result<> move_into_folder(const std::string& root, const std::string& folder, const index::BlockRecord& record) {
  const index::BlockKeys keys = index::block_keys(record.recording, record.first, record.block);
  // The record last: it commits the block.
  const std::pair<const char*, const std::string*> files[] = {
      {"packets.pcapng", &keys.packets}, {"items.parquet", &keys.items}, {"block.json", &keys.record}};
  for (const auto& [name, key] : files) {
    const fs::path target = fs::path(root) / *key;
    std::error_code failed;
    fs::create_directories(target.parent_path(), failed);
    if (!failed) fs::rename(fs::path(folder) / name, target, failed);
    if (failed) return Error{Code::kIo, fmt::format("{}: {}", target.string(), failed.message())};
  }
  return {};
}

}  // namespace baleen::offline
