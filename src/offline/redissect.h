#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "dissect/grpc/descriptors.h"
#include "dissect/selection.h"
#include "dissect/tls/decrypt/key_log.h"
#include "index/encryption.h"
#include "kfl/kfl.h"
#include "store/object_store.h"

namespace baleen::offline {

struct RedissectOptions {
  std::string recording, name;    // of the old one, and of the new one
  std::string prefix, to_prefix;  // what keys begin with in the two stores
  bool copy_packets = false;      // into the other store; otherwise the new records name the old objects
  std::string work;               // a folder for what is being made
  /// What of the items is kept; nothing: what a block's own pattern selects, if it still compiles.
  std::optional<kfl::Filter> filter;
  std::function<std::optional<kfl::Filter>(const std::string&)> compile;
  dissect::Selection dissectors;
  dissect::tls::KeyLog* key_log = nullptr;  // secrets that were given; those of the blocks are added. May be null
  dissect::grpc::Descriptors* descriptors = nullptr;  // of gRPC's messages; what servers tell is added. May be null
  std::shared_ptr<const index::KeyRing> keys;
  std::function<void(uint64_t blocks, uint64_t of)> on_progress;
};

struct Redissected {
  uint64_t blocks = 0, packets = 0, items = 0, old_items = 0;
  std::vector<Error> problems;  // blocks that could not be read, whose items are missing
};

/// Dissects the packets of a recording's blocks once more and writes what comes out as a new recording, block by block:
/// same names of blocks, same streams, same places of packets, other items. The old one is only read. Streams are
/// followed over blocks. kConflict: there is a recording of the new name.
Result<Redissected> redissect(store::ObjectStore& from, store::ObjectStore& to, const RedissectOptions& options);

}  // namespace baleen::offline
