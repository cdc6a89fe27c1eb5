#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "dissect/grpc/descriptors.h"
#include "dissect/selection.h"
#include "dissect/tls/decrypt/key_log.h"
#include "kfl/kfl.h"

namespace baleen::offline {

struct ImportOptions {
  std::string path;    // as capture::PcapFileOptions takes it, but for standard input
  std::string folder;  // where the recording is made, as a store of files; must be there
  kfl::Filter filter;
  Timestamp since = timestamp_from_ns(INT64_MIN), until = timestamp_from_ns(INT64_MAX);
  bool packets = false;  // with the whole streams of the items: the captures are read twice
  dissect::Selection dissectors;
  dissect::tls::KeyLog* key_log = nullptr;  // secrets that were given; those of the files are added. Outlives the call
  dissect::grpc::Descriptors* descriptors = nullptr;  // of gRPC's messages; what servers tell is added. May be null
  /// Now and then, for progress.
  std::function<void(uint64_t bytes, uint64_t items)> on_progress;
};

struct Imported {
  uint64_t packets = 0, bytes = 0, items = 0;
  std::vector<Error> problems;  // files, or ends of files, that were left out
};

/// The name of the recording that captures become.
constexpr std::string_view kImported = "captures";

/// Dissects captures into a recording, so that what reads recordings reads them: items that match, and with them the
/// packets of their streams, both from today's dissectors.
Result<Imported> import_captures(const ImportOptions& options);

}  // namespace baleen::offline
