#include "index/bloom_filter.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "index/thrift_writer.h"

namespace baleen::index {
namespace {

using Block = std::array<uint32_t, 8>;
constexpr Block kSalt = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
                         0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};
constexpr size_t kValuesPerBlock = 24;  // of 256 bits: somewhat more than ten bits a value

void write_header(size_t bytes, std::string& out) {
  ThriftWriter t(out);
  t.begin();
  t.i32(1, static_cast<int64_t>(bytes));
  for (const int choice : {2, 3, 4}) {  // split blocks, XXH64, not compressed: each a union's first member
    t.begin_struct(choice);
    t.empty_struct(1);
    t.end();
  }
  t.end();
}

}  // namespace

void append_bloom_filter(std::span<const uint64_t> hashes, std::string& out) {
  const size_t blocks = std::bit_ceil(std::max<size_t>(1, (hashes.size() + kValuesPerBlock - 1) / kValuesPerBlock));
  std::vector<Block> bits(blocks, Block{});
  for (const uint64_t hash : hashes) {
    Block& block = bits[(hash >> 32) * blocks >> 32];
    for (size_t i = 0; i < kSalt.size(); ++i) block[i] |= uint32_t{1} << (static_cast<uint32_t>(hash) * kSalt[i] >> 27);
  }
  write_header(blocks * sizeof(Block), out);
  out.append(reinterpret_cast<const char*>(bits.data()), blocks * sizeof(Block));  // little-endian, as we are
}

}  // namespace baleen::index
