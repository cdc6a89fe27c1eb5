#pragma once

#include "dissect/build.h"

namespace baleen::dissect::memcached {

/// A reply of several parts: values, or lines of statistics.
struct Reply {
  item::Item* item;
  ListOf values;
  MapOf stats;
  uint64_t size = 0, bytes = 0;
  Timestamp time{};
  bool capped = false;
  explicit Reply(item::Item* i) : item(i), values(i->arena), stats(i->arena) {}
};

}  // namespace baleen::dissect::memcached
