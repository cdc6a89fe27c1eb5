#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/object_store.h"

namespace baleen::index {

struct ExpireOptions {
  std::string recording;  // empty: all
  Timestamp before{};     // blocks whose last item or packet is older
  bool dry_run = false;   // only count
};

struct Expired {
  uint64_t blocks = 0, bytes = 0, items = 0, packets = 0;
  uint64_t kept_blocks = 0;
  uint64_t left_over_objects = 0;  // of removals that were cut short
  std::vector<Error> problems;     // what could not be read or removed; the rest is done
};

/// Removes what is old from a bucket: blocks of recordings, nothing else that lies there.
///
/// A block's record goes first, then its objects: whoever reads meanwhile finds no record whose objects are gone. What
/// a removal that was cut short leaves, objects without a record, is removed by the next one, a day later than a block
/// would be: objects of that age are not on their way up.
Expired expire(store::ObjectStore& store, const std::string& prefix, const ExpireOptions& options);

}  // namespace baleen::index
