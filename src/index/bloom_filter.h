#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace baleen::index {

/// Appends a split-block Bloom filter (parquet-format BloomFilter.md) of values with these XXH64 hashes, header and
/// bits: a reader that looks for another value is misled about once in a hundred times.
void append_bloom_filter(std::span<const uint64_t> hashes, std::string& out);

}  // namespace baleen::index
